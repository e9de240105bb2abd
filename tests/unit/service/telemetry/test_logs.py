"""Lines of the log: their form, their kinds, what they never hold, and what happens to a flood of them."""

from __future__ import annotations

import ast
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from service.security.resume import ResumeTokens
from service.telemetry.events import EVENTS, FIELDS, OF_A_LIBRARY
from service.telemetry.logs import configure_logs
from service.telemetry.pseudonyms import peer_prefix, tenant_hash
from service.telemetry.redaction import LONGEST, without_secrets
from service.telemetry.repetition import BURST, PERIOD_S, Repetition

SERVICE = Path(__file__).parents[4] / "service"
KEY = "lk_live_abcdefgh_" + "S3cret-_" * 5 + "abc"
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW1lcmEifQ.c2lnbmF0dXJl"

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Lines]]:
    """Configures the log for a level; gives what reads the lines written since."""
    root, usual = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level

    def configured(level: str = "info") -> Lines:
        configure_logs(level, "json")
        return lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]

    yield configured
    root.handlers = handlers
    root.setLevel(level)
    structlog.configure(**usual)


def _calls() -> list[tuple[str, ast.Call]]:
    """Every call that logs in the service: (file and line, the call)."""
    found = []
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id in ("_log", "log", "logger"):
                found.append((f"{path.relative_to(SERVICE)}:{node.lineno}", node))
    return found


def _kinds(call: ast.Call) -> set[str]:
    kind = next((keyword.value for keyword in call.keywords if keyword.arg == "kind"), None)
    if kind is None:
        return set()
    constants = [node.value for node in ast.walk(kind) if isinstance(node, ast.Constant)]
    return {value for value in constants if isinstance(value, str)} & EVENTS.keys()


def test_every_line_of_ours_has_a_kind_of_the_list_and_every_kind_is_used() -> None:
    calls = _calls()
    assert len(calls) > 10
    assert [place for place, call in calls if not _kinds(call)] == []
    assert set().union(*(_kinds(call) for _, call in calls)) | {OF_A_LIBRARY} == EVENTS.keys()


def test_a_line_is_one_json_object_with_the_documented_fields(lines: Callable[..., Lines]) -> None:
    read = lines()
    structlog.get_logger("test.form").info("a socket\nclosed", kind="socket_close", code=1000, session="ses_1")
    logging.getLogger("test.foreign").warning("of %s", "a library")
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger("test.form").exception("it failed", kind="frame_failed")
    ours, foreign, failed = read()
    assert ours["event"] == "socket_close"
    assert ours["msg"] == "a socket\nclosed"
    assert (ours["level"], ours["code"], ours["session"]) == ("info", 1000, "ses_1")
    assert ours["ts"].endswith("Z")
    assert (foreign["event"], foreign["msg"], foreign["level"]) == (OF_A_LIBRARY, "of a library", "warning")
    assert "ValueError: why" in failed["exception"]
    for line in (ours, foreign, failed):
        assert line.keys() <= FIELDS.keys()


@pytest.mark.parametrize(("level", "written"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_of_the_settings_decides(lines: Callable[..., Lines], level: str, written: int) -> None:
    read = lines(level)
    log = structlog.get_logger(f"test.level.{level}")
    log.debug("d", kind="ready")
    log.info("i", kind="ready")
    log.warning("w", kind="ready")
    assert len(read()) == written


def test_the_web_server_cannot_log_addresses_with_tickets_in_them(lines: Callable[..., Lines]) -> None:
    read = lines("debug")
    logging.getLogger("uvicorn.error").info('("1.2.3.4", 5) - "WebSocket /v1/stream?ticket=abc" [accepted]')
    assert read() == []


@pytest.mark.parametrize(
    "secret",
    [
        KEY,
        JWT,
        ResumeTokens().issue("ses_1", "me", 1, 60, 1e9),
        "Bearer abcdefgh",
        "/v1/stream?ticket=abcdefgh&x=1",
        "lockon.v1, lockon.ticket.abcdefgh",
        "redis://user:abcdefgh@store:6379/0",
    ],
    ids=["key", "jwt", "resume", "bearer", "query", "subprotocol", "address"],
)
def test_secrets_are_hidden_wherever_they_turn_up(lines: Callable[..., Lines], secret: str) -> None:
    read = lines()
    log = structlog.get_logger("test.secrets")
    log.info(f"in the text: {secret}", kind="ready", reason=secret, nested={"a": [secret]})
    logging.getLogger("test.library").warning("got %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed", kind="frame_failed")
    text = json.dumps(read())
    parts = {KEY: KEY[17:], JWT: JWT[10:]}.get(
        secret, secret.split(".")[-1] if secret.startswith("v1.") else "abcdefgh"
    )
    assert parts not in text
    assert text.count("[hidden]") >= 5


def test_secrets_are_hidden_by_the_name_of_their_field_and_bytes_are_only_counted() -> None:
    assert without_secrets("x", "resume_token") == "[hidden]"
    assert without_secrets({"Authorization": "x", "seq": 1}) == {"Authorization": "[hidden]", "seq": 1}
    assert without_secrets(None, "ticket") is None
    assert without_secrets(b"\xff\xd8" * 50) == "100 bytes"
    assert len(without_secrets("a" * 10_000)) == LONGEST
    assert len(without_secrets(list(range(1000)))) == 50
    assert "lk_live_abcdefgh" in without_secrets(KEY)  # the public part tells which key it was


def test_a_flood_is_cut_and_the_next_line_says_how_much_was_left_out() -> None:
    now_s = [0.0]
    flood = Repetition(lambda: now_s[0])

    def line(kind: str) -> logging.LogRecord:
        return logging.LogRecord("n", logging.WARNING, "", 0, {"event": kind, "msg": "m"}, None, None)

    assert sum(flood.filter(line("socket_refused")) for _ in range(100)) == BURST
    assert flood.filter(line("batch_failed"))  # another kind
    assert all(flood.filter(line("session_open")) for _ in range(100))  # all of them count
    now_s[0] += PERIOD_S
    after = line("socket_refused")
    assert flood.filter(after)
    assert after.msg["repeated"] == 100 - BURST  # type: ignore[index]
    again = line("socket_refused")
    assert flood.filter(again)
    assert "repeated" not in again.msg


def test_a_flood_of_a_librarys_lines_is_cut_too_whatever_they_name(lines: Callable[..., Lines]) -> None:
    read = lines()
    for i in range(100):
        logging.getLogger("test.flood").warning("no answer from %s", i)
    assert len(read()) == BURST


def test_owners_and_addresses_are_told_by_pseudonyms() -> None:
    assert tenant_hash("") is None
    assert tenant_hash("camera-1") == tenant_hash("camera-1") != tenant_hash("camera-2")
    assert "camera" not in str(tenant_hash("camera-1"))
    assert peer_prefix("203.0.113.77") == "203.0.113.0/24"
    assert peer_prefix("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert peer_prefix("::ffff:203.0.113.77") == "203.0.113.0/24"
    assert peer_prefix("testclient") is None
    assert peer_prefix(None) is None
