"""What a client asks for where its session is lost: what it knows, and nothing that it only guesses."""

from __future__ import annotations

from typing import Any

from lockon_client.messages import Box, Result, State, TargetResult
from lockon_client.reviving import FRESH_S, Remembered

CREATE: dict[str, Any] = {"mode": "latest", "targets": [{"box": [1.0, 2.0, 30.0, 40.0]}], "detached_ttl_s": 30}


def result(**states: State) -> Result:
    """A result with these targets."""
    targets = [TargetResult(name, Box(5, 6, 30, 40), 0.9, 0.9, state, None, "local") for name, state in states.items()]
    return Result(7, 1, None, tuple(targets), 1.0, None, 0, 0, 0)


def test_targets_are_asked_for_where_they_were_a_moment_ago_by_their_names_and_labels() -> None:
    targets = [{"id": "a", "label": "A", "box": [1, 2, 30, 40]}]
    remembered = Remembered(CREATE | {"targets": targets})
    remembered.saw(result(a=State.UNCERTAIN, b=State.TRACKING, c=State.LOST), 10.0)
    remembered.changed({"model": "m", "reinit": True, "cadence": None})
    assert remembered.create(10.0 + FRESH_S / 2) == {
        "mode": "latest",
        "targets": [
            {"id": "a", "box": [5, 6, 30, 40], "label": "A"},
            {"id": "b", "box": [5, 6, 30, 40]},
        ],
        "detached_ttl_s": 30,
        "model": "m",
        "cadence": None,
    }
    assert remembered.targets == ("a", "b", "c")


def test_live_targets_that_were_not_seen_lately_are_not_asked_for() -> None:
    remembered = Remembered(CREATE)
    assert remembered.create(0.0) is None
    remembered.saw(result(a=State.TRACKING), 10.0)
    assert remembered.create(10.0 + FRESH_S) is None
    remembered.saw(result(a=State.LOST), 20.0)
    assert remembered.create(20.0) is None


def test_a_session_without_targets_is_made_anew_whenever() -> None:
    remembered = Remembered(CREATE | {"targets": []})
    assert remembered.create(0.0) == CREATE | {"targets": []}
    remembered.saw(result(), 0.0)
    assert remembered.create(100.0) == CREATE | {"targets": []}


def test_a_recording_stands_still_meanwhile() -> None:
    remembered = Remembered(CREATE | {"mode": "every"})
    assert remembered.create(100.0) == CREATE | {"mode": "every"}
    remembered.saw(result(a=State.TRACKING), 0.0)
    assert remembered.create(100.0) == CREATE | {"mode": "every", "targets": [{"id": "a", "box": [5, 6, 30, 40]}]}


def test_changes_are_remembered_as_the_server_makes_them() -> None:
    remembered = Remembered({"mode": "every", "targets": [], "thresholds": {"leave": 0.25, "enter": 0.4}})
    remembered.changed({"thresholds": {"enter": None, "reacquire": 0.7}, "metadata": {"door": {"no": 1, "at": 2}}})
    remembered.changed({"metadata": {"door": {"no": None}}, "deadline_ms": None, "reinit": True})
    changed = {"thresholds": {"leave": 0.25, "reacquire": 0.7}, "metadata": {"door": {"at": 2}}, "deadline_ms": None}
    assert remembered.create(0.0) == {"mode": "every", "targets": []} | changed
