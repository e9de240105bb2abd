"""Structured logs: one JSON object per line, or coloured text on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from importlib.metadata import version
from typing import Any, Literal

import structlog

from service.telemetry.events import OF_A_LIBRARY
from service.telemetry.redaction import without_secrets
from service.telemetry.repetition import Repetition

_VERSION = version("lockon")
_BRIGHT = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "websockets")


def configure_logs(level: str, form: Literal["auto", "json", "console"]) -> None:
    """Sends every log line, the libraries' included, to stderr in one form."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
        _versioned,
        _harmless,
        _renamed,
    ]
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(event_key="msg")] if console else [structlog.processors.JSONRenderer()]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    handler.addFilter(Repetition())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _BRIGHT:  # these are chatty: their info lines tell nothing that ours do not
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _versioned(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    fields["version"] = _VERSION
    return fields


def _harmless(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: value if name[0] == "_" else without_secrets(value, name) for name, value in fields.items()}


def _renamed(_logger: Any, _method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog calls the text `event`; here that is the kind of line, from a closed list."""
    fields["msg"] = fields.pop("event")
    fields["event"] = fields.pop("kind", OF_A_LIBRARY)
    return fields
