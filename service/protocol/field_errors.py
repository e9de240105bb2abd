"""What is wrong with a document, field by field, for problem bodies and for answers on the socket."""

from __future__ import annotations

from pydantic import ValidationError

_BRANCHES = frozenset({"constrained-int", "int", "literal['next']"})


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """One `{pointer, code, detail}` for each field that is wrong."""
    return [
        {"pointer": _pointer(item["loc"]), "code": _code(item["type"], item["loc"]), "detail": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _pointer(location: tuple[int | str, ...]) -> str:
    # Parts that name a branch of a union are pydantic's, not the document's.
    parts = [str(part) for part in location if not (isinstance(part, str) and part in _BRANCHES)]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _code(kind: str, location: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        return "unknown_field"
    return "bad_box" if "box" in location else "not_allowed"
