"""Changes of a session's settings by merge patches (RFC 7396), all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.spec import PresenceSpec
from service.engine.models import Model
from service.protocol.requests import CreateRequest, PatchRequest, Thresholds, Wanted, check_metadata

if TYPE_CHECKING:
    from service.engine.session import Session


class ChangeRefused(ValueError):
    """The settings would break a rule; `pointer` is the JSON pointer to the field, `code` as in `ack`."""

    def __init__(self, detail: str, pointer: str, code: str = "not_allowed") -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code


@dataclass(slots=True)
class Terms:
    """What a session is asked to be, as it stands now."""

    request: CreateRequest
    thresholds: PresenceSpec | None
    """those of the request; None: the model's"""


Chooser = Callable[["Session", str | None], Model]
"""Finds the model of that name, None for the default, for that session; raises ChangeRefused or NoRoom."""


def no_other(session: Session, _name: str | None) -> Model:
    """For a session that no model but its own is known to."""
    raise ChangeRefused(f"there is no model but {session.model.id}", "/model", "unknown_model")


def changed(settings: CreateRequest, want: Wanted, patch: PatchRequest) -> tuple[CreateRequest, Wanted]:
    """Settings and parts of results as the patch makes them of these; raises ChangeRefused."""
    changes = patch.named
    if "model" in changes and not patch.reinit:
        detail = "another model starts every target anew, from its last box: say reinit: true if it shall"
        raise ChangeRefused(detail, "/model")
    if patch.reinit and "model" not in changes:
        raise ChangeRefused("reinit goes with another model", "/reinit")
    want = want.model_copy(update=patch.result.model_dump(exclude_unset=True))
    if changes.get("metadata") is not None:
        try:
            changes["metadata"] = check_metadata(merged(settings.metadata, changes["metadata"]))
        except ValueError as error:
            raise ChangeRefused(str(error), "/metadata") from error
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
