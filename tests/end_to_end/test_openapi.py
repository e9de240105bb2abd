"""The OpenAPI document against the running server: schemathesis sends what it allows and what it forbids."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import positive_data_acceptance

from service.app import build_app
from service.security.principals import Scope
from service.settings import load_settings
from tests.end_to_end.conftest import RunningServer, StartServer
from tests.end_to_end.guarding import KeyFile, bearer

QUICK = settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
THOROUGH = settings(QUICK, max_examples=200)
# A server that wants credentials, as the one that the operations are tried on; nobody is asked for keys before a call.
_TOKENS = {"jwks": "https://issuer.invalid/jwks.json", "issuer": "https://issuer.invalid", "audience": "lockon"}
SCHEMA = schemathesis.openapi.from_dict(build_app(load_settings({"auth": _TOKENS})).openapi())


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.toml")


@pytest.fixture(scope="module")
def guarded(start_server: StartServer, keys: KeyFile) -> RunningServer:
    """A server with keys, and room for every session that is made here."""
    return start_server(
        {
            "auth": {"keys": keys.path},
            "quotas": {"sessions": 100_000},
            "limits": {"max_sessions": 100_000, "min_fps": 0},
            "models": {"default": "dummy", "admin": True},
        }
    )


@pytest.fixture(scope="module")
def key(keys: KeyFile) -> str:
    """May do everything."""
    return keys.new("fuzzer", *Scope)


# What is right in form may still be refused for what it means: a model that is not loaded, a file that is no image.
EXCLUDED = [positive_data_acceptance]


@SCHEMA.parametrize()
@QUICK
def test_every_operation_keeps_what_it_promises(case: schemathesis.Case[Any], guarded: RunningServer, key: str) -> None:
    case.call_and_validate(base_url=guarded.http, headers=bearer(key), excluded_checks=EXCLUDED)


@pytest.mark.slow
@SCHEMA.parametrize()
@THOROUGH
def test_every_operation_keeps_what_it_promises_for_long(
    case: schemathesis.Case[Any], guarded: RunningServer, key: str
) -> None:
    case.call_and_validate(base_url=guarded.http, headers=bearer(key), excluded_checks=EXCLUDED)
