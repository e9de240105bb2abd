"""Sessions at Redis or Valkey: a hash for each, changed by scripts, so that no two servers can both have it; and one
hash with what each server says of itself.

The keys' times to live are the sessions': what nobody comes back for goes by itself."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from service.store.port import Lease, LeaseHeld, RecordGone, StoreAway

CONNECTIONS = 8
_NOTICES = "replicas"

# KEYS[1]: the session; ARGV: our node, the epoch to be above, lease and time to live in ms, the owner.
# Older servers save no owner.
_ACQUIRE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch, node, lease, owner = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'node', 'lease', 'owner'))
if owner and owner ~= ARGV[5] then return {0} end
if not epoch or redis.call('HEXISTS', KEYS[1], 'snapshot') == 0 then return {0} end
if node ~= ARGV[1] and tonumber(lease) > now then return {-1, node, tonumber(lease) - now} end
local next = math.max(tonumber(epoch), tonumber(ARGV[2])) + 1
redis.call('HSET', KEYS[1], 'epoch', next, 'node', ARGV[1], 'lease', now + ARGV[3])
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return {next, tonumber(epoch), redis.call('HGET', KEYS[1], 'snapshot')}
"""

# ARGV: node, epoch, lease and time to live in ms, the snapshot or nothing, the owner
_SAVE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch, node = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'node'))
local later = tonumber(epoch or 0) - tonumber(ARGV[2])
if later > 0 or (later == 0 and node and node ~= ARGV[1]) then return 0 end
if ARGV[5] == '' and redis.call('HEXISTS', KEYS[1], 'snapshot') == 0 then return -1 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'node', ARGV[1], 'lease', now + ARGV[3])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'snapshot', ARGV[5], 'owner', ARGV[6]) end
if tonumber(ARGV[4]) > 0 then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""

# ARGV: node and epoch
_DELETE = """
local epoch, node = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'node'))
local later = tonumber(epoch or 0) - tonumber(ARGV[2])
if later < 0 or (later == 0 and node == ARGV[1]) then redis.call('DEL', KEYS[1]) end
return 1
"""

# ARGV: the node that is to have it, the time to live in ms, the snapshot, the owner
_PLACE = """
redis.call('HSET', KEYS[1], 'epoch', 0, 'node', ARGV[1], 'lease', 0, 'snapshot', ARGV[3], 'owner', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""

# ARGV: the owner
_HOME = """
local node, owner = unpack(redis.call('HMGET', KEYS[1], 'node', 'owner'))
if owner and owner ~= ARGV[1] then return false end
return node
"""

# KEYS[1]: all notices; ARGV: node, how long its notice lives in ms, the notice or nothing
_ANNOUNCE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1])
else redis.call('HSET', KEYS[1], ARGV[1], string.format('%d %s', now + ARGV[2], ARGV[3])) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local others, all = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local ends, notice = string.match(all[i + 1], '^(%d+) (.*)$')
  if tonumber(ends) < now then redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] ~= ARGV[1] then
    table.insert(others, all[i])
    table.insert(others, notice)
  end
end
return others
"""


class RedisStore:
    """Obeys `service.store.port.SessionStore`. `node` is this server's name, like no other's."""

    def __init__(self, url: str, node: str, timeout_s: float) -> None:
        """Nothing is connected yet; raises ValueError for a URL of another kind."""
        self.node = node
        self._timeout_s = timeout_s
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis(connection_pool=pool)
        self._acquire = self._redis.register_script(_ACQUIRE)
        self._save = self._redis.register_script(_SAVE)
        self._delete = self._redis.register_script(_DELETE)
        self._place = self._redis.register_script(_PLACE)
        self._home = self._redis.register_script(_HOME)
        self._announce = self._redis.register_script(_ANNOUNCE)

    async def acquire(self, session: str, owner: str, above: int, lease_s: float, ttl_s: float) -> Lease | None:
        """Takes the session's lease; None if it is not there. Raises LeaseHeld."""
        epoch, *more = await self._run(self._acquire, session, self.node, above, _ms(lease_s), _ms(ttl_s), owner)
        if epoch == -1:
            raise LeaseHeld(more[0].decode(), more[1] / 1000)
        return Lease(epoch, more[0], more[1]) if epoch else None

    async def save(
        self, session: str, owner: str, epoch: int, snapshot: bytes | None, lease_s: float, ttl_s: float
    ) -> bool:
        """Saves the session and renews or returns the lease; False if it belongs to another server.

        Raises RecordGone."""
        arguments = (self.node, epoch, _ms(lease_s), _ms(ttl_s), snapshot or b"", owner)
        answer = await self._run(self._save, session, *arguments)
        if answer == -1:
            raise RecordGone(session)
        return bool(answer)

    async def place(self, session: str, owner: str, node: str, snapshot: bytes, ttl_s: float) -> None:
        """Saves a session that the server `node` is to have."""
        await self._run(self._place, session, node, _ms(ttl_s), snapshot, owner)

    async def home(self, session: str, owner: str) -> str | None:
        """The server that had the session last; None: it is not there."""
        node: bytes | None = await self._run(self._home, session, owner)
        return node.decode() if node is not None else None

    async def delete(self, session: str, epoch: int) -> None:
        """Forgets the session."""
        await self._run(self._delete, session, self.node, epoch)

    async def announce(self, notice: bytes | None, lives_s: float) -> dict[str, bytes]:
        """Puts our notice up or takes it down; returns those of the others."""
        found = await self._run(self._announce, _NOTICES, self.node, _ms(lives_s), notice or b"")
        return {node.decode(): other for node, other in zip(found[::2], found[1::2], strict=True)}

    async def ping(self) -> None:
        """Asks for a sign of life, and whether it may be written to."""
        await self._run(self._delete, "nobody", self.node, 0)

    async def close(self) -> None:
        """The end of all connections."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _run(self, script: Any, name: str, *arguments: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await script(keys=[f"lockon:{{{name}}}"], args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreAway(f"{type(error).__name__}: {error}") from error


def _ms(seconds: float) -> int:
    return round(seconds * 1e3)
