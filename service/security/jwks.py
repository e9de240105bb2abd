"""A token issuer's public keys: fetched, cached, and kept for a while when the issuer is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import IO, Any, cast
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
import structlog

FRESH_S = 600.0
STALE_S = 24 * 3600.0
RETRY_S = 30.0
"""Least time between two fetches: tokens with invented key ids must not make us a nuisance to the issuer."""
TIMEOUT_S = 5.0
MAX_BYTES = 256 * 1024

_PUBLIC = frozenset({"EC", "OKP", "RSA"})
_log = structlog.get_logger("lockon.tokens")


class KeysUnavailable(RuntimeError):
    """The issuer's keys could not be fetched."""


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        """None: the redirect stays what it is, an error."""
        return None


def fetched(url: str) -> bytes:
    """The document at that address; blocks for a bounded time. Raises KeysUnavailable."""
    try:
        # The address is the operator's own, and its scheme was checked.
        with cast("HTTPResponse", build_opener(_NoRedirects).open(url, timeout=TIMEOUT_S)) as answer:
            document = answer.read(MAX_BYTES + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise KeysUnavailable(f"cannot be fetched: {error}") from error
    if len(document) > MAX_BYTES:
        raise KeysUnavailable(f"is larger than {MAX_BYTES} bytes")
    return document


def public_keys(document: bytes) -> dict[str, jwt.PyJWK]:
    """The signature keys of a JWKS, by their `kid`; those of no use here are passed over. Raises KeysUnavailable."""
    try:
        entries = json.loads(document)["keys"]
        usable = [entry for entry in entries if entry.get("kty") in _PUBLIC and entry.get("use", "sig") == "sig"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise KeysUnavailable("is no JWKS") from error
    keys = {}
    for entry in usable:
        try:
            keys[str(entry["kid"])] = jwt.PyJWK(entry)
        except (jwt.PyJWTError, KeyError, ValueError) as error:
            _log.warning("a key of the issuer's is of no use here", kind="jwks_key_refused", reason=str(error))
    return keys


class Jwks:
    """The keys at an address. `fetch` is replaceable for tests, `clock` gives monotonic seconds."""

    def __init__(
        self, url: str, fetch: Callable[[str], bytes] = fetched, clock: Callable[[], float] = monotonic
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._clock = clock
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_s = float("-inf")
        self._tried_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """The key of that name, or None; raises KeysUnavailable if there has been no word of the issuer for a day."""
        if self._wanted(key_id):
            async with self._fetching:
                if self._wanted(key_id):
                    await self._renew()
        if self._clock() - self._fetched_s > STALE_S:
            raise KeysUnavailable("the token issuer's keys cannot be had")
        return self._keys.get(key_id)

    def _wanted(self, key_id: str) -> bool:
        now_s = self._clock()
        old = now_s - self._fetched_s > FRESH_S
        return (old or key_id not in self._keys) and now_s - self._tried_s > RETRY_S

    async def _renew(self) -> None:
        self._tried_s = self._clock()
        try:
            self._keys = public_keys(await asyncio.to_thread(self._fetch, self._url))
            self._fetched_s = self._clock()
        except KeysUnavailable as error:
            _log.error("the token issuer's keys were not renewed", kind="jwks_refused", reason=str(error))
