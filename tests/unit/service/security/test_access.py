"""Whether a server may start, and whom it lets in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from service.security.access import Access, check_exposure
from service.security.keys import ORDINARY_SCOPES, new_key, write_keys
from service.security.principals import ANYBODY, Unauthenticated
from service.settings import SettingsInvalid, load_settings
from service.settings_sections import AuthSettings


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, str]:
    """A file with one key, and that key."""
    key, record = new_key("camera-1", ORDINARY_SCOPES, "")
    write_keys(tmp_path / "keys.toml", [record])
    return tmp_path / "keys.toml", key


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_on_loopback_a_server_may_be_open(host: str) -> None:
    check_exposure(load_settings({"server": {"host": host}}))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "camera.local", ""])
def test_elsewhere_it_needs_keys_or_a_word(host: str, keys: tuple[Path, str]) -> None:
    server = {"host": host}
    with pytest.raises(SettingsInvalid, match=r"auth\.allow_anonymous"):
        check_exposure(load_settings({"server": server}))
    allowed: list[dict[str, Any]] = [
        {"allow_anonymous": True},
        {"keys": keys[0]},
        {"jwks": "https://a.example/keys", "issuer": "a", "audience": "b"},
    ]
    for auth in allowed:
        check_exposure(load_settings({"server": server, "auth": auth}))


async def test_an_open_server_lets_everybody_in_whatever_they_say() -> None:
    access = Access(AuthSettings())
    assert await access.principal(None) is ANYBODY
    assert await access.principal("anything") is ANYBODY


async def test_a_server_with_keys_lets_in_their_holders_alone(keys: tuple[Path, str]) -> None:
    # `allow_anonymous` is about the address alone: it opens no server that has keys.
    access = Access(AuthSettings(keys=keys[0], allow_anonymous=True))
    assert (await access.principal(keys[1])).owner == "client:camera-1"
    for wrong in (None, "", "password", "a.b.c", keys[1][:-1]):
        with pytest.raises(Unauthenticated):
            await access.principal(wrong)


def test_tokens_without_their_extra_are_refused_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)  # as where it is not installed
    monkeypatch.delitem(sys.modules, "service.security.tokens", raising=False)
    settings = AuthSettings(jwks="https://a.example/keys", issuer="https://a.example", audience="lockon")
    with pytest.raises(SettingsInvalid, match=r"lockon\[jwt\]"):
        Access(settings)
