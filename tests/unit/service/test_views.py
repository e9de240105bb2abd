"""What a result says of the next frame: which part of it will be looked at, and when the whole is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.geometry import Box
from models.package import load_tracker
from models.presence import Presence, State
from models.runtimes.dummy import DummyRuntime
from models.spec import Family
from models.target import Target
from models.tracker import Tracker
from models.variants import VARIANTS
from service.engine.views import WINDOW_GRID, next_window
from service.protocol.header import Frame, FrameHeader, Kind, Placement, read_header
from service.protocol.images import ImageHeader, ImageKind
from tests.drawing import Drawing

DRAWING = Drawing(width=1000, height=700)
TRACKER = load_tracker("dummy")
FRAME = Frame(1, b"", ImageHeader(ImageKind.JPEG, 1000, 700, 3), None, must_process=False, no_reply=False, received_s=0)


def target(box: Box, state: State = State.TRACKING) -> Target:
    started = TRACKER.start(DRAWING.frame(0), box)
    started.presence = Presence(state)
    return started


STARTED = target(Box(300, 200, 40, 30))


@pytest.mark.parametrize("box", [Box(300, 200, 40, 30), Box(3, 5, 40, 30), Box(955, 665, 40, 30)])
def test_the_window_holds_what_is_looked_at_with_a_margin_and_lies_on_the_grid(box: Box) -> None:
    found = target(box)
    asked = next_window(TRACKER, [found], FRAME)
    assert not asked["full"]
    x, y, width, height = asked["window"]
    look = TRACKER.next_window(found)
    for start, side, end, length in ((look.x, x, x + width, 1000), (look.y, y, y + height, 700)):
        assert side == 0 or side <= start - look.side / 8
        assert end == length or end >= start + look.side * 9 / 8
        assert side % WINDOW_GRID == 0
        assert end == length or end % WINDOW_GRID == 0


@settings(max_examples=300)
@given(st.integers(4, 700), st.integers(4, 700), st.floats(0, 1), st.floats(0, 1), st.floats(4, 200), st.floats(4, 200))
def test_the_server_takes_the_window_that_it_asks_for(
    width: int, height: int, right: float, down: float, w: float, h: float
) -> None:
    box = Box.from_centre(right * width, down * height, w, h)
    # Only where it is counts here, and a target is costly to start.
    found = replace(STARTED, box=box, place=box, aim=None)
    asked = next_window(TRACKER, [found], FRAME._replace(header=ImageHeader(ImageKind.JPEG, width, height, 3)))
    if asked["full"]:
        return
    x, y, crop_w, crop_h = asked["window"]
    header = FrameHeader(Kind.WINDOW, 0, 1, crop_w, crop_h, 0, x, y, width, height)
    assert read_header(header.packed() + b"image", 0) == header


def test_one_window_holds_all_targets() -> None:
    near, far = Box(200, 200, 30, 30), Box(600, 400, 30, 30)
    both = next_window(TRACKER, [target(near), target(far)], FRAME)["window"]
    for box in (near, far):
        x, y, width, height = next_window(TRACKER, [target(box)], FRAME)["window"]
        assert both[0] <= x
        assert both[1] <= y
        assert x + width <= both[0] + both[2]
        assert y + height <= both[1] + both[3]


@pytest.mark.parametrize("state", list(State))
def test_a_whole_frame_is_asked_for_while_one_target_is_not_sure(state: State) -> None:
    sure, other = target(Box(200, 200, 30, 30)), target(Box(300, 200, 30, 30), state)
    assert next_window(TRACKER, [sure, other], FRAME)["full"] == (state in (State.UNCERTAIN, State.LOST))


def test_a_whole_frame_is_asked_for_while_a_target_waits_to_be_started() -> None:
    assert next_window(TRACKER, [], FRAME) == {"full": True, "window": None, "max_scale": 1.0}
    assert next_window(TRACKER, [target(Box(200, 200, 30, 30))], FRAME, starting=True)["full"]


def test_a_window_that_is_the_whole_frame_is_asked_for_as_such() -> None:
    asked = next_window(TRACKER, [target(Box(200, 100, 500, 500))], FRAME)
    assert (asked["full"], asked["window"]) == (True, [0, 0, 1000, 700])


def test_a_model_that_goes_by_the_whole_frame_gets_it() -> None:
    spec = next(spec for spec in VARIANTS.values() if spec.family is Family.SIAMRPN_TF)
    assert next_window(Tracker(spec, DummyRuntime()), [target(Box(200, 200, 30, 30))], FRAME)["full"]


def test_windows_lie_in_the_frame_and_not_in_the_window_that_came() -> None:
    sent = Frame(
        2,
        b"",
        ImageHeader(ImageKind.PNG, 64, 64, 3),
        None,
        must_process=False,
        no_reply=False,
        received_s=0,
        window=Placement(160, 160, 64, 64, 1000, 700),
    )
    found = target(Box(200, 200, 30, 30))
    assert next_window(TRACKER, [found], sent) == next_window(TRACKER, [found], FRAME)
