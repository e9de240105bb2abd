"""Everything that can go wrong, and which answer of the server becomes which error.

LockonError
|- ConnectFailed     no server there, not a Lockon server, or no answer to the handshake in time
|- InvalidRequest    the server did not understand or accept what was asked (hello, model, box in hello)
|- NotAllowed        credentials, scope or origin
|- NotFound          unknown, deleted or expired session
|- Busy              no capacity or a rate limit; try again later
|- StreamClosed      the connection ended: server stopped, line died, another client took over
|- FrameInvalid      this is not a JPEG, PNG or WebP image, or an array that cannot be encoded
|- FrameRejected     the server refused a frame that had to be answered, or the message was too large
|- TargetRefused     a target could not be added, changed or removed
`- AnswerTimeout     the server is there, but did not answer in time
"""

from __future__ import annotations


class LockonError(Exception):
    """Root of all errors of this package.

    `code` is the server's short name or number for the reason ("" where the client found the reason itself),
    `detail` says it in words.
    """

    def __init__(self, detail: str, code: str = "") -> None:
        super().__init__(f"{detail} [{code}]" if code else detail)
        self.detail = detail
        self.code = code


class ConnectFailed(LockonError):
    """No WebSocket could be opened."""


class InvalidRequest(LockonError):
    """The server does not accept what was asked for."""


class NotAllowed(LockonError):
    """Credentials are missing, wrong or not enough."""


class NotFound(LockonError):
    """The session does not exist (any more)."""


class Busy(LockonError):
    """The server is full or the caller is over a limit; `retry_after_s` is the server's advice, if it gave one."""

    def __init__(self, detail: str, code: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(detail, code)
        self.retry_after_s = retry_after_s


class StreamClosed(LockonError):
    """The connection ended before the work was done."""


class FrameInvalid(LockonError, ValueError):
    """What was passed as a frame cannot be sent."""


class FrameRejected(LockonError):
    """The server refused a frame; `seq` is its number where the server told."""

    def __init__(self, detail: str, code: str = "", seq: int | None = None) -> None:
        super().__init__(detail, code)
        self.seq = seq


class TargetRefused(LockonError):
    """A target operation was answered with `ok: false`."""


class AnswerTimeout(LockonError, TimeoutError):
    """Nothing came back in time; what was asked for may be done all the same."""


# Close codes of the protocol: the error, and words for when the server gave no reason text.
_CLOSE_CODES: dict[int, tuple[type[LockonError], str]] = {
    1000: (StreamClosed, "the server ended the stream"),
    1001: (StreamClosed, "the server is going away"),
    1006: (StreamClosed, "the connection broke"),
    1008: (NotAllowed, "the server refused the connection"),
    1009: (FrameRejected, "a message was larger than the server accepts; send smaller images"),
    1011: (StreamClosed, "the server failed, or it did not answer a ping in time"),
    1012: (StreamClosed, "the server is restarting"),
    1013: (Busy, "the server is overloaded"),
    4400: (InvalidRequest, "the server did not accept the hello message"),
    4401: (NotAllowed, "the credentials are missing or have expired"),
    4403: (NotAllowed, "the credentials do not allow this"),
    4404: (NotFound, "there is no such session"),
    4408: (StreamClosed, "the server waited too long for a message or a frame, or for results to be read"),
    4409: (StreamClosed, "another connection took the session over"),
    4410: (NotFound, "the session was deleted or has expired"),
    4413: (Busy, "too many bytes in too short a time"),
    4415: (FrameRejected, "too many frames could not be used"),
    4422: (InvalidRequest, "too many invalid operations"),
    4429: (Busy, "too many frames or messages in too short a time"),
    4503: (Busy, "the server is full"),
}

_HTTP_STATUS: dict[int, type[LockonError]] = {
    400: InvalidRequest,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: InvalidRequest,
    410: NotFound,
    421: NotAllowed,
    422: InvalidRequest,
    429: Busy,
    503: Busy,
}

_FATAL_CODES: dict[str, type[LockonError]] = {
    "bad_hello": InvalidRequest,
    "bad_box": InvalidRequest,
    "unknown_model": InvalidRequest,
    "unknown_field": InvalidRequest,
    "no_capacity": Busy,
    "rate_limited": Busy,
    "bad_media": FrameRejected,
    "no_session": NotFound,
    "gone": NotFound,
}


def from_close(code: int, reason: str) -> LockonError:
    """The error for a close frame: number and reason text (may be empty)."""
    kind, words = _CLOSE_CODES.get(code, (StreamClosed, "the server closed the connection"))
    return kind(reason or words, str(code))


def from_refusal(status: int, code: str, detail: str, retry_after_s: float | None) -> LockonError:
    """The error for an HTTP answer instead of a WebSocket; `code` and `detail` are those of its problem body."""
    kind = _HTTP_STATUS.get(status, ConnectFailed)
    words = detail or f"the server answered HTTP {status} instead of opening a stream"
    if kind is Busy:
        return Busy(words, code or str(status), retry_after_s)
    return kind(words, code or str(status))


def from_fatal(code: str, detail: str) -> LockonError:
    """The error for an `error` message after which the server closes the connection."""
    return _FATAL_CODES.get(code, StreamClosed)(detail or code, code)
