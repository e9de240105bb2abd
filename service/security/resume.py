"""Resume tokens: what lets a client go on with its session on another socket, together with its own credentials.

`v1.<key id>.<payload>.<HMAC-SHA-256>`, the last two in base64url without padding. The payload is JSON of at most 256
bytes; whoever has the keys can check it without asking anybody else."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

VERSION = "v1"
MAX_TOKEN_CHARACTERS = 512
GRACE_S = 60
"""How much longer a token is good than its session waits: clients read it a little before their line breaks."""
AHEAD_S = 60
"""How far another server's clock may be ahead of ours."""


class TokenForged(ValueError):
    """Not a token of ours: another form, another key, or changed since."""


class TokenExpired(ValueError):
    """A token of ours that is too old."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says: the session, a digest of its owner, and the epoch in which it was given out."""

    session: str
    owner_digest: str
    epoch: int

    def is_of(self, owner: str) -> bool:
        """Whether it was given to that owner."""
        return hmac.compare_digest(self.owner_digest, owner_digest(owner))


class ResumeTokens:
    """Signs and checks; times in seconds of Unix time."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """The first key signs, all of them are accepted; without any, one is made that nobody else has."""
        self._keys = {_key_id(key): key.encode() for key in (keys or (secrets.token_urlsafe(32),))}
        self._signing = next(iter(self._keys))

    def issue(self, session: str, owner: str, epoch: int, ttl_s: int, now_s: float) -> str:
        """A token for the session, good for `ttl_s` and a little longer."""
        claims = {"sid": session, "own": owner_digest(owner), "ep": epoch, "iat": int(now_s)}
        payload = _base64(json.dumps(claims | {"exp": int(now_s) + ttl_s + GRACE_S}, separators=(",", ":")).encode())
        signed = f"{VERSION}.{self._signing}.{payload}"
        return f"{signed}.{self._signature(self._signing, signed)}"

    def read(self, token: str, now_s: float) -> Claim:
        """What the token says; raises TokenForged or TokenExpired."""
        signed, _, signature = token.rpartition(".")
        version, key_id, payload = ([*signed.split("."), "", "", ""])[:3]
        if version != VERSION or key_id not in self._keys or not token.isascii():
            raise TokenForged("this is no resume token of this server")
        if not hmac.compare_digest(signature, self._signature(key_id, signed)):
            raise TokenForged("this resume token was not signed by this server")
        try:
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            claim = Claim(claims["sid"], claims["own"], claims["ep"])
            issued_s, expires_s = claims["iat"], claims["exp"]
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            # Signed, so by a later version of ours.
            raise TokenForged("this resume token says what this server does not understand") from error
        if issued_s > now_s + AHEAD_S:
            raise TokenForged("this resume token comes from the future")
        if now_s >= expires_s:
            raise TokenExpired("this resume token has expired")
        return claim

    def _signature(self, key_id: str, signed: str) -> str:
        return _base64(hmac.digest(self._keys[key_id], signed.encode(), "sha256"))


def _key_id(key: str) -> str:
    return hashlib.sha256(b"lockon resume key " + key.encode()).hexdigest()[:8]


def owner_digest(owner: str) -> str:
    """The same 24 digits for the same owner of sessions."""
    return hashlib.sha256(b"lockon owner " + owner.encode()).hexdigest()[:24]


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
