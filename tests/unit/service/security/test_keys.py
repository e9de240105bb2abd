"""API keys: what is kept of them, who they let in, and how the file that holds them is read."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.security.keys import ORDINARY_SCOPES, ApiKeys, KeysInvalid, new_key, read_keys, write_keys
from service.security.principals import Scope, Unauthenticated

PEPPER = "pepper"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def _added(path: Path, client: str, *scopes: Scope) -> tuple[str, str]:
    """A new key in the file: the key and its id."""
    key, record = new_key(client, scopes or ORDINARY_SCOPES, PEPPER)
    known = list(read_keys(path).values()) if path.exists() else []
    write_keys(path, [*known, record])
    return key, record.id


async def test_a_key_lets_its_client_in_with_its_scopes(path: Path) -> None:
    key, key_id = _added(path, "camera-1")
    principal = await ApiKeys(path, PEPPER).principal(key)
    assert principal is not None
    assert (principal.owner, principal.key, principal.expires_s) == ("client:camera-1", key_id, None)
    assert principal.scopes == {Scope.SESSIONS, Scope.STREAM, Scope.MODELS}


def test_the_file_holds_neither_the_key_nor_its_secret(path: Path) -> None:
    key, _ = _added(path, "camera-1")
    assert len(key.split("_", 3)[3]) == 43
    assert key not in path.read_text()
    assert key.split("_", 3)[3] not in path.read_text()


async def test_two_keys_of_one_client_have_the_same_owner(path: Path) -> None:
    first, second = _added(path, "camera-1")[0], _added(path, "camera-1")[0]
    keys = ApiKeys(path, PEPPER)
    owners = {principal.owner for key in (first, second) if (principal := await keys.principal(key))}
    assert owners == {"client:camera-1"}


async def test_wrong_secrets_unknown_ids_and_broken_keys_are_refused_alike(path: Path) -> None:
    key, key_id = _added(path, "camera-1")
    keys = ApiKeys(path, PEPPER)
    other = new_key("x", ORDINARY_SCOPES, PEPPER)[0]
    for wrong in (key[:-1], key + "A", other, key.replace(key_id, "aaaaaaaa"), "lk_", "lk_live_é_" + "a" * 43):
        with pytest.raises(Unauthenticated, match="this API key is not valid"):
            await keys.principal(wrong)
    with pytest.raises(Unauthenticated):
        await ApiKeys(path, "another pepper").principal(key)


async def test_credentials_of_another_kind_are_left_to_others(path: Path) -> None:
    _added(path, "camera-1")
    assert await ApiKeys(path, PEPPER).principal("a.b.c") is None


async def test_a_running_server_sees_new_and_revoked_keys(path: Path) -> None:
    first, _ = _added(path, "camera-1")
    keys = ApiKeys(path, PEPPER)
    principal = await keys.principal(first)
    assert principal is not None
    second, _ = _added(path, "camera-2")
    assert await keys.principal(second) is not None
    write_keys(path, [record for record in read_keys(path).values() if record.client == "camera-2"])
    assert not keys.stands(principal)
    with pytest.raises(Unauthenticated):
        await keys.principal(first)


def test_a_slip_while_editing_locks_nobody_out(path: Path) -> None:
    key, _ = _added(path, "camera-1")
    keys = ApiKeys(path, PEPPER)
    path.write_text("[[key]\n")
    assert asyncio.run(keys.principal(key)) is not None
    path.unlink()
    assert asyncio.run(keys.principal(key)) is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[key]\n", "is no TOML"),
        ("[[keys]]\n", "keys: Extra"),
        ('[[key]]\nid = "short"\n', r"key\.0\.id"),
        ("key = 3\n", "key: Input should be a valid list"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_what_is_wrong(path: Path, text: str, message: str) -> None:
    path.write_text(text)
    with pytest.raises(KeysInvalid, match=message):
        read_keys(path)
    with pytest.raises(KeysInvalid, match="cannot be read"):
        read_keys(path.with_name("none.toml"))


def test_two_records_with_one_id_are_refused(path: Path) -> None:
    record = new_key("camera-1", ORDINARY_SCOPES, PEPPER)[1]
    write_keys(path, [record, record])
    with pytest.raises(KeysInvalid, match="same id"):
        read_keys(path)


def test_the_file_keeps_its_mode(path: Path) -> None:
    _added(path, "camera-1")
    path.chmod(0o600)
    _added(path, "camera-2")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["keys.toml"]
