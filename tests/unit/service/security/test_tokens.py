"""JWTs: only what the settings trust, by keys that the issuer publishes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from service.security.jwks import FRESH_S, RETRY_S, STALE_S, Jwks, KeysUnavailable, public_keys
from service.security.principals import Principal, Scope, Unauthenticated
from service.security.tokens import Tokens
from service.settings import SettingsInvalid
from service.settings_sections import AuthSettings

ED = ed25519.Ed25519PrivateKey.generate()
EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
ALGORITHMS: dict[str, tuple[PrivateKey, str, str]] = {
    "ed": (ED, jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key()), "EdDSA"),
    "ec": (EC, jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key()), "ES256"),
    "rsa": (RSA, jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()), "RS256"),
}
"""Per key id: the private key, its public half as a JWK, and the algorithm's name."""


def _jwks() -> bytes:
    published = [{"kty": "oct", "kid": "oct", "k": "c2VjcmV0", "alg": "HS256"}]
    for key_id, (_, public, _) in ALGORITHMS.items():
        published.append(json.loads(public) | {"kid": key_id, "use": "sig"})
    return json.dumps({"keys": published}).encode()


def _claims(**changes: Any) -> dict[str, Any]:
    claims = {
        "iss": "https://issuer.example",
        "aud": "lockon",
        "sub": "user-7",
        "tenant": "acme",
        "scope": "openid stream sessions:write",
        "exp": time.time() + 600,
    } | changes
    return {name: value for name, value in claims.items() if value is not None}


def _token(claims: dict[str, Any], key_id: str = "ed", **headers: Any) -> str:
    private, _, algorithm = ALGORITHMS[key_id]
    return jwt.encode(claims, private, algorithm=algorithm, headers={"kid": key_id, **headers})


def _tokens(**changes: Any) -> Tokens:
    base = {"jwks": "https://issuer.example/keys", "issuer": "https://issuer.example", "audience": "lockon"}
    settings = AuthSettings.model_validate(base | changes)
    return Tokens(settings, Jwks("https://issuer.example/keys", lambda _url: _jwks()))


async def _principal(token: str, **changes: Any) -> Principal | None:
    return await _tokens(**changes).principal(token)


@pytest.mark.parametrize("key_id", ALGORITHMS)
async def test_a_good_token_lets_its_tenant_in(key_id: str) -> None:
    principal = await _principal(_token(_claims(), key_id))
    assert principal is not None
    assert (principal.owner, principal.scopes) == ("tenant:acme", frozenset({Scope.STREAM, Scope.SESSIONS}))
    assert _tokens().stands(principal)


async def test_without_a_tenant_the_subject_is_the_owner_and_never_the_same_one() -> None:
    principal = await _principal(_token(_claims(tenant=None, sub="acme")))
    assert principal is not None
    assert principal.owner == "sub:acme"


async def test_a_token_has_half_a_minute_of_grace_and_then_its_holder_is_out() -> None:
    principal = await _principal(_token(_claims(exp=time.time() - 25)))
    assert principal is not None
    assert principal.expires_s is not None
    assert 0 < principal.expires_s - time.time() < 6
    gone = Principal(principal.owner, principal.scopes, expires_s=time.time() - 1)
    assert not _tokens().stands(gone)


BAD_CLAIMS = {
    "expired": {"exp": time.time() - 31},
    "lives too long": {"exp": time.time() + 3600},
    "no end": {"exp": None},
    "an end that is no number": {"exp": "soon"},
    "not yet": {"nbf": time.time() + 3600},
    "other issuer": {"iss": "https://evil.example"},
    "no issuer": {"iss": None},
    "other audience": {"aud": "another"},
    "no audience": {"aud": None},
    "no subject": {"sub": None},
    "tenant is a list": {"tenant": ["acme"]},
    "tenant is empty": {"tenant": ""},
    "tenant is huge": {"tenant": "a" * 1000},
    "scope is a list": {"scope": ["admin"]},
}


@pytest.mark.parametrize("changes", BAD_CLAIMS.values(), ids=BAD_CLAIMS.keys())
async def test_wrong_claims_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        await _principal(_token(_claims(**changes)))


def _confused() -> str:
    """HS256 with the RSA key's public half as the secret, put together by hand, as PyJWT would not make it."""
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    parts = [
        jwt.utils.base64url_encode(json.dumps(part).encode())
        for part in ({"alg": "HS256", "kid": "rsa", "typ": "JWT"}, _claims())
    ]
    signed = b".".join(parts)
    return (signed + b"." + jwt.utils.base64url_encode(algorithm.sign(signed, public))).decode()


BAD_TOKENS: dict[str, Callable[[], str]] = {
    "no signature": lambda: jwt.encode(_claims(), "", algorithm="none", headers={"kid": "ed"}),
    "public key as a secret": _confused,
    "symmetric key of the issuer": lambda: jwt.encode(
        _claims(), "secret" * 8, algorithm="HS256", headers={"kid": "oct"}
    ),
    "key of another algorithm": lambda: jwt.encode(_claims(), RSA, algorithm="RS256", headers={"kid": "ed"}),
    "signed by somebody else": lambda: jwt.encode(
        _claims(), ed25519.Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": "ed"}
    ),
    "unknown key": lambda: jwt.encode(_claims(), ED, algorithm="EdDSA", headers={"kid": "other"}),
    "no key id": lambda: jwt.encode(_claims(), ED, algorithm="EdDSA"),
    "key id is huge": lambda: jwt.encode(_claims(), ED, algorithm="EdDSA", headers={"kid": "k" * 9000}),
    "brings an address of keys": lambda: _token(_claims(), jku="https://evil.example/keys"),
    "brings an address of certificates": lambda: _token(_claims(), x5u="https://evil.example/keys"),
    "brings a key": lambda: _token(_claims(), jwk={"kty": "OKP"}),
    "demands something": lambda: _token(_claims(), crit=["b64"]),
    "tampered": lambda: _token(_claims())[:-4] + "AAAA",
    "header is nested": lambda: jwt.utils.base64url_encode(b"[" * 3000).decode() + ".e30.e30",
    "header is no object": lambda: "W10.e30.e30",
    "three dots of nothing": lambda: "..",
    "not even ASCII": lambda: "é.é.é",
}


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("make", BAD_TOKENS.values(), ids=BAD_TOKENS.keys())
async def test_forged_tokens_are_refused(make: Callable[[], str]) -> None:
    with pytest.raises(Unauthenticated):
        await _principal(make())


async def test_an_algorithm_that_the_settings_do_not_name_is_refused() -> None:
    assert await _principal(_token(_claims(), "ec"), algorithms=["ES256"]) is not None
    with pytest.raises(Unauthenticated):
        await _principal(_token(_claims(), "ed"), algorithms=["ES256"])


@pytest.mark.parametrize(
    "changes", [{"issuer": None}, {"audience": None}, {"jwks": "http://issuer.example/keys"}], ids=str
)
def test_settings_that_would_trust_too_much_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsInvalid, match=r"auth\.jwks"):
        _tokens(**changes)


class Issuer:
    """Counts how often its keys are asked for; may be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.now_s = 0.0
        self.jwks = Jwks("https://issuer.example/keys", self._fetch, lambda: self.now_s)

    def _fetch(self, _url: str) -> bytes:
        self.asked += 1
        if self.away:
            raise KeysUnavailable("is away")
        return _jwks()


async def test_keys_are_cached_and_renewed() -> None:
    issuer = Issuer()
    for issuer.now_s in (0.0, 1.0, FRESH_S - 1):
        assert await issuer.jwks.key("ed") is not None
    assert issuer.asked == 1
    issuer.now_s = FRESH_S + 1
    assert await issuer.jwks.key("ed") is not None
    assert issuer.asked == 2


async def test_unknown_key_ids_do_not_make_us_ask_again_and_again() -> None:
    issuer = Issuer()
    for _ in range(100):
        assert await issuer.jwks.key("invented") is None
    assert issuer.asked == 1
    issuer.now_s = RETRY_S + 1
    assert await issuer.jwks.key("invented") is None
    assert issuer.asked == 2


async def test_an_issuer_that_is_away_is_forgiven_for_a_day() -> None:
    issuer = Issuer()
    assert await issuer.jwks.key("ed") is not None
    issuer.away = True
    issuer.now_s = STALE_S - 1
    assert await issuer.jwks.key("ed") is not None
    issuer.now_s = STALE_S + RETRY_S + 1
    with pytest.raises(KeysUnavailable):
        await issuer.jwks.key("ed")


@pytest.mark.parametrize("document", [b"", b"[]", b'{"keys": 3}', b'{"keys": [3]}', b"[" * 5000])
def test_what_is_no_jwks_is_refused(document: bytes) -> None:
    with pytest.raises(KeysUnavailable):
        public_keys(document)


def test_keys_of_no_use_are_passed_over() -> None:
    odd = [{"kty": "EC", "kid": "a"}, {"kty": "RSA", "kid": "b", "use": "enc"}, {"kty": "OKP"}]
    assert public_keys(json.dumps({"keys": odd}).encode()) == {}
    assert set(public_keys(_jwks())) == set(ALGORITHMS)
