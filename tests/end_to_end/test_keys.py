"""`lockon keys`, and what `lockon serve` does about them: processes, their exit codes and their output."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.end_to_end.guarding import bearer, offer

LOCKON = (sys.executable, "-c", "from service.cli import main; main()")
CLIENTS = (["secretive-1"], ["secretive-2", "--admin"])


def _lockon(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LOCKON, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    file = ("--file", tmp_path / "keys.toml")
    made = [_lockon("keys", "create", name, *more, *file) for name, *more in (["camera-1"], ["boss", "--admin"])]
    keys = [run.stdout.strip() for run in made]
    assert all(re.fullmatch(r"lk_live_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", key) for key in keys)
    assert all(key not in run.stderr for key, run in zip(keys, made, strict=True))
    listed = _lockon("keys", "list", *file).stdout.splitlines()
    assert [line.split()[1] for line in listed] == ["camera-1", "boss"]
    assert [line.endswith(" admin") for line in listed] == [False, True]
    assert _lockon("keys", "revoke", listed[0].split()[0], *file).returncode == 0
    assert _lockon("keys", "list", *file).stdout.splitlines() == listed[1:]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "a b", "--file", "keys.toml"), "'a b'"),
        (("create", "camera-1"), "auth.keys"),
        (("revoke", "aaaaaaaa", "--file", "pyproject.toml"), "pyproject.toml"),
        (("list", "--file", "none.toml"), "none.toml"),
    ],
)
def test_mistakes_with_keys_are_told_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    run = _lockon("keys", *arguments)
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("error: ")
    assert words in run.stderr


def test_an_open_server_refuses_to_start_where_others_reach_it(tmp_path: Path) -> None:
    run = _lockon("serve", "--host", "0.0.0.0", "--port", "0", "--model", "dummy")
    assert (run.returncode, run.stdout) == (1, "")
    assert all(word in run.stderr for word in ("0.0.0.0", "lockon keys create", "auth.keys", "auth.allow_anonymous"))
    config = tmp_path / "lockon.toml"
    config.write_text(f'[auth]\nkeys = "{tmp_path}/none.toml"\n')
    run = _lockon("serve", "--port", "0", "--model", "dummy", "--config", config)
    assert (run.returncode, run.stdout) == (1, "")
    assert "none.toml: cannot be read" in run.stderr


def test_no_secret_is_logged_or_counted(tmp_path: Path) -> None:
    file, config = tmp_path / "keys.toml", tmp_path / "lockon.toml"
    key, admin = (_lockon("keys", "create", *words, "--file", file).stdout.strip() for words in CLIENTS)
    config.write_text(f'[auth]\nkeys = "{file}"\n[server]\nport = 0\nlog_format = "json"\nlog_level = "debug"\n')
    command = [*LOCKON, "serve", "--model", "dummy", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        socket = address.replace("http", "ws") + "/v1/stream"
        with httpx.Client(base_url=address) as http:
            ticket = http.post("/v1/tickets", headers=bearer(key)).json()["ticket"]
            with connect(socket, subprotocols=offer(ticket)), connect(socket, additional_headers=bearer(key)):
                pass
            for query, credentials in ((f"?ticket={ticket}&key={key}", {}), ("", bearer(key[:-1]))):
                with pytest.raises(InvalidStatus), connect(socket + query, additional_headers=credentials):
                    pass
            assert http.get(f"/v1/models?key={key}", headers=bearer(key[:-1])).status_code == 401
            metrics = http.get("/metrics", headers=bearer(admin)).text
        process.terminate()
        output, errors = process.communicate()
    assert "lockon_http_requests_total" in metrics
    assert '"event": "ready"' in errors
    for secret in (key[:-1], key.split("_", 3)[3], admin[:-1], ticket, "secretive"):
        assert secret not in output + errors + metrics
