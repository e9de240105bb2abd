"""What a session is made anew from, where the server that had it is gone with all that it knew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockon_client.messages import Result, State

FRESH_S = 1.0
"""A live target has left a box that is older than this."""


class Remembered:
    """What the session was made with, and where its targets were last. Times in seconds of one clock."""

    def __init__(self, create: Mapping[str, Any]) -> None:
        self._create = dict(create)
        self._last: Result | None = None
        self._seen_s = 0.0

    @property
    def targets(self) -> tuple[str, ...]:
        """The ids of all targets, as far as there was a result."""
        return () if self._last is None else tuple(target.id for target in self._last.targets)

    def saw(self, result: Result, now_s: float) -> None:
        """A result came."""
        self._last, self._seen_s = result, now_s

    def changed(self, settings: Mapping[str, Any]) -> None:
        """The session was made to differ from what it was made with."""
        for name, value in settings.items():
            if name != "reinit":
                # A None stays: without a `deadline_ms` there would be the usual one.
                old = self._create.get(name)
                self._create[name] = _merged(old, value) if isinstance(value, Mapping) else value

    def create(self, now_s: float) -> dict[str, Any] | None:
        """The body for a session in its place; None if nothing is known well enough to start from.

        Lost targets have no box to start from. Of a recording the next frame follows the last result, however long ago
        that was; a live target must have been seen a moment ago."""
        every = self._create["mode"] == "every"
        if self._last is None:
            return self._create if every or not self._create["targets"] else None
        labels = {target.get("id"): target.get("label") for target in self._create["targets"]}
        targets: list[dict[str, Any]] = []
        for target in self._last.targets:
            if target.state is not State.LOST and (every or now_s - self._seen_s < FRESH_S):
                label = labels.get(target.id)
                more = {} if label is None else {"label": label}
                targets.append({"id": target.id, "box": list(target.box)} | more)
        if self._last.targets and not targets:
            return None
        return self._create | {"targets": targets}


def _merged(old: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """An object with a merge patch applied (RFC 7396), as the server does with thresholds and metadata; a new one."""
    result = dict(old) if isinstance(old, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _merged(result.get(name), value) if isinstance(value, Mapping) else value
    return result
