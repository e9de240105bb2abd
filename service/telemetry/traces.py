"""The port for traces. Without `telemetry.otlp_endpoint` there are none, and OpenTelemetry's SDK is not imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from service.settings import Settings, SettingsInvalid

if TYPE_CHECKING:
    from service.engine.outbox import ResultDraft
    from service.engine.session import Session


class SocketTrace(Protocol):
    """The trace of one socket's frames."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""

    def answered(self, draft: ResultDraft, sent_s: float) -> None:
        """A result was sent at that time of the monotonic clock."""

    def end(self, code: int) -> None:
        """The socket was closed."""


class Traces(Protocol):
    """Sends traces away, sampled. Parents are given as W3C `traceparent`; what is none counts as not given."""

    def created(self, session: Session, parent: str | None) -> None:
        """A session was created over HTTP, as part of a trace of the caller's."""

    def attached(self, session: Session, parent: str | None) -> SocketTrace | None:
        """A socket was attached to the session; None if the caller's trace is not sampled, and so neither is this."""

    def close(self) -> None:
        """Sends what waits to be sent, as far as that is quick."""


def check_traces(settings: Settings) -> None:
    """Raises SettingsInvalid where traces are wanted and OpenTelemetry is missing."""
    if settings.telemetry.otlp_endpoint is None:
        return
    try:
        import service.telemetry.otlp  # noqa: F401 - whether it can be imported is the question
    except ImportError as error:
        raise SettingsInvalid(
            f"telemetry.otlp_endpoint: traces need OpenTelemetry: pip install 'lockon[otel]' ({error})"
        ) from error


def open_traces(settings: Settings) -> Traces | None:
    """As the settings say; None if no endpoint is set. Raises SettingsInvalid where OpenTelemetry is missing."""
    if settings.telemetry.otlp_endpoint is None:
        return None
    check_traces(settings)
    from service.telemetry.otlp import OtlpTraces

    return OtlpTraces(settings.telemetry)
