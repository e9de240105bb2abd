"""What lies in the store can be read by the servers alone: a snapshot holds pictures of targets, perhaps of people.

    magic "LKSE" | key id, 8 bytes | nonce, 12 bytes | AES-256-GCM of the snapshot, with the session's id beside it

So whoever writes to the store can neither make a snapshot up nor put one session's in another's place."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.store.port import Lease, SessionStore

_MAGIC = b"LKSE"
_KEY_ID_BYTES, _NONCE_BYTES = 8, 12

_log = structlog.get_logger("lockon.store")


class SealBroken(ValueError):
    """Bytes that no key of ours has sealed for this session."""


class Seal:
    """Seals with the first of some secrets, and opens what was sealed with any of them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """secrets: 32 characters or more each, at least one; the keys are made from them."""
        self._ciphers = {_key_id(secret): AESGCM(_derived(secret)) for secret in secrets}
        self._sealing = next(iter(self._ciphers))

    def sealed(self, snapshot: bytes, session: str) -> bytes:
        """The snapshot, for the store to keep."""
        nonce = os.urandom(_NONCE_BYTES)
        body = self._ciphers[self._sealing].encrypt(nonce, snapshot, session.encode())
        return b"".join((_MAGIC, self._sealing, nonce, body))

    def opened(self, data: bytes, session: str) -> bytes:
        """The snapshot; raises SealBroken."""
        if not data.startswith(_MAGIC):
            raise SealBroken("it is not sealed")
        nonce_at = len(_MAGIC) + _KEY_ID_BYTES
        body_at = nonce_at + _NONCE_BYTES
        key_id, nonce, body = data[len(_MAGIC) : nonce_at], data[nonce_at:body_at], data[body_at:]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealBroken("it was sealed with a key that is none of store.token_keys")
        try:
            return cipher.decrypt(nonce, body, session.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("it was changed, or is another session's") from error


class SealedStore:
    """Obeys `service.store.port.SessionStore`: another store, that sees sealed snapshots only."""

    def __init__(self, inner: SessionStore, seal: Seal) -> None:
        self.node = inner.node
        self._seal = seal
        self._inner = inner
        self.home, self.delete, self.announce = inner.home, inner.delete, inner.announce
        self.ping, self.close = inner.ping, inner.close

    async def acquire(self, session: str, owner: str, above: int, lease_s: float, ttl_s: float) -> Lease | None:
        """As the port says; a snapshot whose seal is broken is none."""
        lease = await self._inner.acquire(session, owner, above, lease_s, ttl_s)
        if lease is None or lease.snapshot is None:
            return lease
        try:
            snapshot = self._seal.opened(lease.snapshot, session)
        except SealBroken as error:
            _log.warning("a saved session can't be read", kind="session_lost", session=session, reason=str(error))
            snapshot = None
        return Lease(lease.epoch, lease.before, snapshot)

    async def save(
        self, session: str, owner: str, epoch: int, snapshot: bytes | None, lease_s: float, ttl_s: float
    ) -> bool:
        """As the port says."""
        sealed = None if snapshot is None else self._seal.sealed(snapshot, session)
        return await self._inner.save(session, owner, epoch, sealed, lease_s, ttl_s)

    async def place(self, session: str, owner: str, node: str, snapshot: bytes, ttl_s: float) -> None:
        """As the port says."""
        await self._inner.place(session, owner, node, self._seal.sealed(snapshot, session), ttl_s)


def _derived(secret: str) -> bytes:
    """A key of 256 bits for this use alone: the secret signs resume tokens as well."""
    return HKDF(SHA256(), length=32, salt=None, info=b"lockon snapshots").derive(secret.encode())


def _key_id(secret: str) -> bytes:
    return hashlib.sha256(b"lockon seal " + secret.encode()).digest()[:_KEY_ID_BYTES]
