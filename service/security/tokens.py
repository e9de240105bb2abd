"""JWTs of an issuer that the operator trusts. The issuer, its keys and the algorithms are settings, never the token's
own word (RFC 8725)."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import jwt

from service.security.addresses import is_loopback
from service.security.jwks import Jwks, KeysUnavailable
from service.security.principals import Principal, Scope, Unauthenticated, unexpired
from service.settings import SettingsInvalid
from service.settings_sections import AuthSettings

LEEWAY_S = 30.0
MAX_LIFE_S = 900.0
MAX_TOKEN_CHARS = 4096
MAX_NAME_CHARS = 200

# A token that brings its own keys, or demands what we do not know, is nobody's honest mistake.
_REFUSED_HEADERS = frozenset({"crit", "jku", "jwk", "x5c", "x5u"})
_REFUSED = "this token is not valid"


class Tokens:
    """JWTs of one issuer; obeys the port. `jwks` gives its keys."""

    def __init__(self, settings: AuthSettings, jwks: Jwks | None = None) -> None:
        if settings.jwks is None or settings.issuer is None or settings.audience is None:
            raise SettingsInvalid("auth.jwks: tokens need auth.issuer and auth.audience as well")
        address = urlsplit(settings.jwks)
        if address.scheme != "https" and not is_loopback(address.hostname or ""):
            raise SettingsInvalid("auth.jwks: only https, since whoever changes these keys can make tokens")
        self._issuer, self._audience = settings.issuer, settings.audience
        self._algorithms: list[str] = list(settings.algorithms)
        self._jwks = jwks or Jwks(settings.jwks)

    async def principal(self, bearer: str) -> Principal | None:
        """Whose token that is; None if it has not the form of a JWT."""
        if bearer.count(".") != 2:
            return None
        try:
            key = await self._key(bearer)
            claims = jwt.decode(
                bearer,
                key,
                algorithms=self._algorithms,
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("this token has expired") from error
        except (jwt.PyJWTError, RecursionError) as error:
            raise Unauthenticated(_REFUSED) from error
        return _principal(claims)

    def stands(self, principal: Principal) -> bool:
        """False once the token has expired."""
        return unexpired(principal)

    async def _key(self, bearer: str) -> jwt.PyJWK:
        if len(bearer) > MAX_TOKEN_CHARS:
            raise Unauthenticated(_REFUSED)
        header = jwt.get_unverified_header(bearer)
        key_id = header.get("kid")
        if _REFUSED_HEADERS & header.keys() or header.get("alg") not in self._algorithms or not isinstance(key_id, str):
            raise Unauthenticated(_REFUSED)
        try:
            key = await self._jwks.key(key_id)
        except KeysUnavailable as error:
            raise Unauthenticated(str(error)) from error
        # The key says what it is for; a token cannot talk it into anything else.
        if key is None or key.algorithm_name != header["alg"]:
            raise Unauthenticated(_REFUSED)
        return key


def _principal(claims: dict[str, Any]) -> Principal:
    expires_s = float(claims["exp"])
    if expires_s > time.time() + MAX_LIFE_S + LEEWAY_S:
        raise Unauthenticated(f"this token lives too long: exp may be at most {MAX_LIFE_S:g} s ahead")
    kind = "tenant" if "tenant" in claims else "sub"
    name, scope = claims[kind], claims.get("scope", "")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or not isinstance(scope, str):
        raise Unauthenticated(_REFUSED)
    known = frozenset(each for each in Scope if each in scope.split())
    return Principal(f"{kind}:{name}", known, expires_s=expires_s + LEEWAY_S)
