"""Cursors of lists: signed, so that nobody can make one up, and good for the caller and the filter they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets

CURSOR_TTL_S = 600.0
_MAC_BYTES = 16


class CursorRefused(ValueError):
    """The text is no cursor of this list, or it has expired."""


class Cursors:
    """Makes and reads cursors; those of another process are refused. Times in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def made(self, place: list[str], listing: list[str | None], now_s: float) -> str:
        """A cursor that stands after `place` in that listing: whose it is, and its filter."""
        payload = json.dumps([now_s + CURSOR_TTL_S, *place]).encode()
        return base64.urlsafe_b64encode(self._mac(payload, listing) + payload).decode().rstrip("=")

    def read(self, text: str, listing: list[str | None], now_s: float) -> list[str]:
        """The place that a cursor of that listing stands after; raises CursorRefused."""
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (binascii.Error, ValueError) as error:
            raise CursorRefused("this is no cursor") from error
        mac, payload = data[:_MAC_BYTES], data[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(payload, listing)):
            raise CursorRefused("this is no cursor of this list")
        expires_s, *place = json.loads(payload)
        if now_s > expires_s:
            raise CursorRefused("the cursor has expired; start from the first page")
        return [str(part) for part in place]

    def _mac(self, payload: bytes, listing: list[str | None]) -> bytes:
        words = json.dumps(listing).encode()
        return hmac.digest(self._key, hashlib.sha256(words).digest() + payload, "sha256")[:_MAC_BYTES]
