"""Changes of a session's settings by merge patches (RFC 7396), all or nothing."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from service.protocol.messages import CreateRequest, PatchRequest, Thresholds, Wanted

MAX_METADATA = 16


class ChangeRefused(ValueError):
    """The settings would break a rule; `pointer` is the JSON pointer to the field."""

    def __init__(self, detail: str, pointer: str) -> None:
        super().__init__(detail)
        self.pointer = pointer


def changed(settings: CreateRequest, want: Wanted, patch: PatchRequest) -> tuple[CreateRequest, Wanted]:
    """Settings and parts of results as the patch makes them of these; raises ChangeRefused."""
    changes = patch.named
    want = want.model_copy(update=patch.result.model_dump(exclude_unset=True))
    if changes.get("metadata") is not None:
        changes["metadata"] = merged(settings.metadata, changes["metadata"])
        if len(changes["metadata"]) > MAX_METADATA:
            detail = f"metadata would have {len(changes['metadata'])} keys; the limit is {MAX_METADATA}"
            raise ChangeRefused(detail, "/metadata")
    if changes.get("thresholds") is not None:
        changes["thresholds"] = _thresholds(settings, changes["thresholds"])
    return settings.model_copy(update=changes | {"result": want}), want


def _thresholds(settings: CreateRequest, patch: Thresholds) -> Thresholds:
    old = {} if settings.thresholds is None else settings.thresholds.model_dump()
    try:
        return Thresholds.model_validate(old | patch.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise ChangeRefused(f"thresholds: {error.errors()[0]['msg']}", "/thresholds") from error


def merged(old: Any, patch: dict[str, Any]) -> dict[str, Any]:
    """The object with a merge patch applied, a new one."""
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value) if isinstance(value, dict) else value
    return result
