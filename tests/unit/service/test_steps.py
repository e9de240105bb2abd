"""The stepper: boxes are the same to the last bit whether whole frames are decoded or only what is looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import cv2
import numpy as np
import pytest

from models.families import FAMILIES
from models.frames import Picture, PixelRect
from models.geometry import Box
from models.package import DEFAULT_MODEL, load_tracker
from models.runtimes.base import ByteArray
from models.runtimes.dummy import DummyRuntime
from models.runtimes.torch import TorchRuntime
from models.spec import Family
from models.tracker import Tracker
from models.variants import VARIANTS
from service.engine.decoding import REGIONS, HostDecoder
from service.engine.jobs import Followed, Job
from service.engine.steps import Stepper
from service.protocol.header import Frame, Placement
from service.protocol.images import read_image_header
from tests.drawing import encoded
from tests.jpegs import jpeg, textured
from tests.random_networks import lively_network

WIDTH, HEIGHT = 640, 360
STARTS = (Box(2, 3, 30, 22), Box(300, 150, 24, 30), Box(604, 330, 30, 26))
"""At two corners, where windows reach outside the frame, and in the middle."""


@cache
def tracker(name: str) -> Tracker:
    """A shipped model, or a variant with random weights."""
    if name in ("dummy", DEFAULT_MODEL):
        return load_tracker(name)
    spec = VARIANTS[name]
    if FAMILIES[spec.family].fills_anew:  # its network is large, and which one it is makes no difference here
        return Tracker(spec, DummyRuntime())
    return Tracker(spec, TorchRuntime.of(lively_network(spec), spec))


class WholeDecoder(HostDecoder):
    """Decodes everything."""

    def decode_part(self, frame: Frame, part: PixelRect) -> Picture:
        return self.decode_all(frame)


class NotingDecoder(HostDecoder):
    """Notes whether what it gave was the whole frame."""

    def __init__(self) -> None:
        self.whole: list[bool] = []

    def decode_all(self, frame: Frame) -> Picture:
        self.whole.append(True)
        return super().decode_all(frame)

    def decode_part(self, frame: Frame, part: PixelRect) -> Picture:
        picture = super().decode_part(frame, part)
        if not picture.whole:
            self.whole.append(False)
        return picture


@cache
def drawn(index: int, width: int = WIDTH, height: int = HEIGHT) -> ByteArray:
    """Bright patches around the starts that drift over noise."""
    picture = textured(width, height) // 3
    for which, box in enumerate(STARTS):
        patch = textured(int(box.w), int(box.h), seed=which + 1) // 2 + 120
        x, y = int(box.x) + (index if which == 1 else -(index // 2)), int(box.y) - index // 3
        left, top, right, bottom = max(x, 0), max(y, 0), min(x + int(box.w), width), min(y + int(box.h), height)
        if left < right and top < bottom:
            picture[top:bottom, left:right] = patch[top - y : bottom - y, left - x : right - x]
    return picture


def frame(file: bytes, seq: int, window: Placement | None = None) -> Frame:
    header = read_image_header(file)
    return Frame(seq, file, header, None, must_process=False, no_reply=False, received_s=0.0, window=window)


def followed(model: Tracker, starts: Sequence[Box]) -> tuple[Followed, ...]:
    return tuple(Followed(str(i), target=model.start(drawn(0), box)) for i, box in enumerate(starts))


def boxes(model: Tracker, decoder: HostDecoder, starts: Sequence[Box], frames: Sequence[Frame]) -> list[Box]:
    """Every box of every frame."""
    stepper, targets = Stepper(model, decoder), followed(model, starts)
    found: list[Box] = []
    for each in frames:
        (outcome,) = stepper.run([Job("s", each, targets, ())])
        assert outcome.undecodable is None
        assert not outcome.internal
        assert outcome.timings.decode > 0
        found += [estimate.box for _, _, estimate in outcome.estimates if estimate is not None]
    assert len(found) == len(frames) * len(starts)
    return found


def check_equal(name: str, starts: Sequence[Box], frames: Sequence[Frame]) -> list[bool]:
    """Compares the boxes; gives for each frame whether it was decoded whole."""
    noting = NotingDecoder()
    assert boxes(tracker(name), noting, starts, frames) == boxes(tracker(name), WholeDecoder(), starts, frames)
    return noting.whole


needs_extension = pytest.mark.skipif(not REGIONS, reason="the region decoder is not built here")
JPEGS = [frame(jpeg(drawn(index)), index) for index in range(1, 7)]


@needs_extension
@pytest.mark.parametrize("start", STARTS, ids=["top left", "middle", "bottom right"])
@pytest.mark.parametrize("name", ["dummy", DEFAULT_MODEL, "siamfcpp_tinyconv", "nanotrack_v3"])
def test_boxes_are_those_of_a_full_decode(name: str, start: Box) -> None:
    whole = check_equal(name, [start], JPEGS)
    assert not any(whole), "each frame was decoded in part"


@needs_extension
def test_targets_share_one_decode_of_the_rectangle_around_them() -> None:
    near = [Box(280, 30, 24, 30), Box(330, 40, 24, 24)]
    assert not any(check_equal("dummy", near, JPEGS))
    assert all(check_equal("dummy", STARTS, JPEGS)), "they are so far apart that the whole is cheaper"


FORMATS: dict[str, Callable[[ByteArray], bytes]] = {
    "png": lambda picture: encoded(picture, ".png"),
    "webp": lambda picture: encoded(picture, ".webp", cv2.IMWRITE_WEBP_QUALITY, 90),
    "progressive": lambda picture: jpeg(picture, progressive=True),
    "444": lambda picture: jpeg(picture, "444"),
    "grey": lambda picture: jpeg(picture, "grey"),
    "restarts": lambda picture: jpeg(picture, row_restarts=True),
}


def test_files_of_every_kind_may_come_in_any_order() -> None:
    frames = [frame(encode(drawn(index)), index) for index, encode in enumerate([*FORMATS.values()] * 2)]
    check_equal("dummy", STARTS[1:2], frames)


def test_a_stream_may_change_its_size() -> None:
    sizes = [(WIDTH, HEIGHT), (480, 270), (480, 270), (1280, 720), (WIDTH, HEIGHT)]
    frames = [frame(jpeg(drawn(index, *size)), index) for index, size in enumerate(sizes)]
    for start in STARTS:
        check_equal("dummy", [start], frames)


def test_a_model_that_needs_whole_frames_gets_them() -> None:
    name = next(name for name, spec in VARIANTS.items() if spec.family is Family.SIAMRPN_TF)
    assert all(check_equal(name, STARTS[1:2], JPEGS[:2]))


def test_a_window_gives_the_boxes_of_the_frame_it_was_cut_from() -> None:
    model = tracker("dummy")
    stepper, targets = Stepper(model, HostDecoder()), followed(model, STARTS[:1])
    ((_, target),) = [(each, each.target) for each in targets]
    assert target is not None
    found: list[Box] = []
    for index in range(1, 7):
        part = model.reach(target).inside(WIDTH, HEIGHT)
        assert part is not None
        pixels = drawn(index)[part.y : part.y + part.height, part.x : part.x + part.width]
        window = Placement(part.x, part.y, part.width, part.height, WIDTH, HEIGHT)
        sent = frame(encoded(pixels, ".png"), index, window)
        (outcome,) = stepper.run([Job("s", sent, targets, ())])
        found += [estimate.box for _, _, estimate in outcome.estimates if estimate is not None]
    full = [frame(encoded(drawn(index), ".png"), index) for index in range(1, 7)]
    assert found == boxes(model, HostDecoder(), STARTS[:1], full)


def test_a_window_that_was_scaled_down_stays_so_and_keeps_its_place() -> None:
    pixels = cv2.resize(drawn(0)[40:240, 100:400], (150, 100), interpolation=cv2.INTER_AREA)
    picture = HostDecoder().decode_all(frame(encoded(pixels, ".png"), 1, Placement(100, 40, 300, 200, WIDTH, HEIGHT)))
    assert (picture.x, picture.y, picture.width, picture.height) == (100, 40, 300, 200)
    assert np.array_equal(picture.pixels, pixels)
    back = picture.at_frame_scale()
    assert (back.x, back.y, back.pixels.shape, back.scaled_from) == (100, 40, (200, 300, 3), None)
    assert np.abs(back.pixels.astype(int) - drawn(0)[40:240, 100:400]).mean() < 12


def test_a_window_of_all_of_the_frame_that_was_scaled_down_is_brought_back_to_scale() -> None:
    pixels = cv2.resize(drawn(0), (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    picture = HostDecoder().decode_all(frame(encoded(pixels, ".png"), 1, Placement(0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT)))
    assert picture.whole
