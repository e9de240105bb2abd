"""Follow targets in live video with a Lockon server: `async with track(url, box=(x, y, w, h)) as t`."""

from lockon_client.errors import (
    AnswerTimeout,
    Busy,
    ConnectFailed,
    FrameInvalid,
    FrameRejected,
    InvalidRequest,
    LockonError,
    NotAllowed,
    NotFound,
    StreamClosed,
    TargetRefused,
)
from lockon_client.images import Frame
from lockon_client.line_events import Interrupted, LineEvent, Resumed, StateLost
from lockon_client.messages import Ack, Box, Event, NextWindow, Result, State, TargetResult, Welcome
from lockon_client.protocol import Thresholds
from lockon_client.stream import Track
from lockon_client.tracking import track
from lockon_client.version import __version__

__all__ = [
    "Ack",
    "AnswerTimeout",
    "Box",
    "Busy",
    "ConnectFailed",
    "Event",
    "Frame",
    "FrameInvalid",
    "FrameRejected",
    "Interrupted",
    "InvalidRequest",
    "LineEvent",
    "LockonError",
    "NextWindow",
    "NotAllowed",
    "NotFound",
    "Result",
    "Resumed",
    "State",
    "StateLost",
    "StreamClosed",
    "TargetRefused",
    "TargetResult",
    "Thresholds",
    "Track",
    "Welcome",
    "__version__",
    "track",
]
