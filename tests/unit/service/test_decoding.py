"""Decoding of whole frames and of parts: a part has the pixels of the whole."""

from __future__ import annotations

import struct
import sys
import threading

import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from models.crops import Window, cut
from models.frames import PixelRect
from service.engine import decoding
from service.engine.decoding import DecodeFailed
from service.engine.region import LARGEST_SHARE, predicted_share
from tests.drawing import encoded
from tests.jpegs import SUBSAMPLINGS, jpeg, textured
from tests.unit.service.pictures import (
    DECODER,
    HEIGHT,
    MIDDLE,
    PICTURE,
    PLAIN,
    RESTARTS,
    WIDTH,
    frame,
    needs_extension,
)

if decoding.REGIONS:
    from service.engine import _region_jpeg


@st.composite
def parts(draw: st.DrawFn) -> tuple[int, int, PixelRect]:
    """A size of a frame and a rectangle in it."""
    width, height = draw(st.integers(1, 130)), draw(st.integers(1, 130))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    part = PixelRect(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))
    return width, height, part


@needs_extension
@pytest.mark.parametrize("row_restarts", [False, True], ids=["plain", "restarts"])
@pytest.mark.parametrize("subsampling", [name for name in SUBSAMPLINGS if name != "411"])
@given(case=parts(), seed=st.integers(0, 3), quality=st.sampled_from((30, 80, 100)))
@settings(max_examples=150, deadline=None)
def test_a_part_has_the_pixels_of_the_whole(
    subsampling: str, row_restarts: bool, case: tuple[int, int, PixelRect], seed: int, quality: int
) -> None:
    width, height, part = case
    file = jpeg(textured(width, height, seed), subsampling, quality=quality, row_restarts=row_restarts)
    whole = simplejpeg.decode_jpeg(file, colorspace="BGR", strict=True)
    # Poisoned, so that a byte that is not written shows. Not through the decoder: it would take the whole if cheaper.
    for poison in (0, 255):
        pixels = np.full((part.height, part.width, 3), poison, np.uint8)
        _region_jpeg.decode(file, part.x, part.y, pixels)
        assert np.array_equal(pixels, whole[part.y : part.y + part.height, part.x : part.x + part.width])


@given(
    file=st.sampled_from((PLAIN, RESTARTS)),
    x=st.integers(-60, WIDTH + 20),
    y=st.integers(-60, HEIGHT + 20),
    side=st.integers(8, 400),
)
@settings(max_examples=100, deadline=None)
def test_a_window_cut_from_a_part_equals_one_cut_from_the_frame(file: bytes, x: int, y: int, side: int) -> None:
    whole = DECODER.decode(frame(file))
    part = DECODER.decode_part(frame(file), PixelRect(x, y, side, side))
    from_whole, from_part = np.empty((2, 63, 63, 3), np.uint8)
    cut(whole, Window(x, y, side), from_whole, (10, 20, 30))
    cut(part.pixels, Window(x - part.x, y - part.y, side), from_part, (10, 20, 30))
    assert np.array_equal(from_part, from_whole)


@needs_extension
@pytest.mark.parametrize("file", [PLAIN, RESTARTS], ids=["plain", "restarts"])
def test_a_small_part_is_decoded_alone_and_a_large_one_with_the_whole_frame(file: bytes) -> None:
    small = DECODER.decode_part(frame(file), MIDDLE)
    assert (small.x, small.y, small.pixels.shape) == (MIDDLE.x, MIDDLE.y, (MIDDLE.height, MIDDLE.width, 3))
    assert (small.frame_width, small.frame_height, small.whole) == (WIDTH, HEIGHT, False)
    large = DECODER.decode_part(frame(file), PixelRect(10, 10, 300, 220))
    assert (large.x, large.y, large.whole) == (0, 0, True)
    assert np.array_equal(large.pixels, DECODER.decode(frame(file)))


@needs_extension
def test_what_reaches_outside_the_frame_is_left_out() -> None:
    part = DECODER.decode_part(frame(PLAIN), PixelRect(-20, -10, 60, 40))
    assert (part.x, part.y, part.pixels.shape) == (0, 0, (30, 40, 3))


@pytest.mark.parametrize(
    "part", [PixelRect(WIDTH, 0, 10, 10), PixelRect(-50, 0, 50, 10), PixelRect(5, 5, 0, 10), PixelRect(5, 5, 10, -1)]
)
def test_a_part_without_a_pixel_of_the_frame_gives_the_whole(part: PixelRect) -> None:
    assert DECODER.decode_part(frame(PLAIN), part).whole


def test_rows_above_the_part_cost_unless_they_can_be_jumped_over() -> None:
    top, bottom = PixelRect(400, 0, 192, 192), PixelRect(400, 528, 192, 192)
    costs = [predicted_share(part, 1280, 720, row_restarts=False) for part in (top, bottom)]
    assert costs == pytest.approx([0.162, 0.595], abs=0.01)
    assert predicted_share(bottom, 1280, 720, row_restarts=True) == pytest.approx(costs[0])
    assert predicted_share(PixelRect(0, 0, 1280, 720), 1280, 720, row_restarts=False) > LARGEST_SHARE


@pytest.mark.parametrize(
    "file",
    [
        jpeg(PICTURE, progressive=True),
        jpeg(PICTURE, "411"),
        encoded(PICTURE, ".png"),
        encoded(PICTURE, ".webp"),
    ],
    ids=["progressive", "4:1:1", "png", "webp"],
)
def test_other_files_are_decoded_whole(file: bytes) -> None:
    part = DECODER.decode_part(frame(file), MIDDLE)
    assert part.whole
    assert np.array_equal(part.pixels, DECODER.decode(frame(file)))


def test_without_the_extension_the_whole_frame_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "REGIONS", False)
    part = DECODER.decode_part(frame(PLAIN), MIDDLE)
    assert part.whole
    assert np.array_equal(part.pixels, DECODER.decode(frame(PLAIN)))


def test_without_simplejpeg_opencv_decodes_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = DECODER.decode(frame(PLAIN))
    monkeypatch.setattr(decoding, "simplejpeg", None)
    assert np.array_equal(DECODER.decode(frame(PLAIN)), expected)
    with pytest.raises(DecodeFailed):
        DECODER.decode(frame(PLAIN[:-500]))


def test_exif_orientation_turns_neither_the_whole_nor_a_part() -> None:
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = PLAIN[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + PLAIN[2:]
    assert np.array_equal(DECODER.decode(frame(turned)), DECODER.decode(frame(PLAIN)))
    part = DECODER.decode_part(frame(turned), MIDDLE)
    assert np.array_equal(part.pixels, DECODER.decode_part(frame(PLAIN), MIDDLE).pixels)


@needs_extension
@pytest.mark.parametrize(
    ("x", "y", "shape"),
    [
        (-1, 0, (8, 8, 3)),
        (0, HEIGHT - 7, (8, 8, 3)),
        (WIDTH - 7, 0, (8, 8, 3)),
        (2**62, 2**62, (8, 8, 3)),
        (0, 0, (0, 8, 3)),
        (0, 0, (8, 8)),
        (0, 0, (8, 8, 4)),
    ],
)
def test_the_extension_writes_nothing_that_is_not_inside_the_picture(x: int, y: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="pixels"):
        _region_jpeg.decode(PLAIN, x, y, np.empty(shape, np.uint8))


@needs_extension
def test_the_extension_takes_writable_bytes_in_order_only() -> None:
    frozen = np.zeros((8, 8, 3), np.uint8)
    frozen.flags.writeable = False
    for pixels in (frozen, np.zeros((8, 16, 3), np.uint8)[:, ::2], np.zeros((8, 8, 3), np.float32)):
        with pytest.raises((ValueError, BufferError)):
            _region_jpeg.decode(PLAIN, 0, 0, pixels)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _region_jpeg.decode(bytearray(PLAIN), 0, 0, np.zeros((8, 8, 3), np.uint8))  # type: ignore[arg-type]


@needs_extension
def test_other_threads_run_while_a_part_is_decoded() -> None:
    large, pixels = jpeg(textured(2000, 2000)), np.empty((1000, 2000, 3), np.uint8)
    go, ran = threading.Event(), []

    def other() -> None:
        go.wait()
        ran.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    interval = sys.getswitchinterval()
    # Nobody is made to let go of the interpreter's lock: the other thread runs only if the decoder gives it away.
    sys.setswitchinterval(1000)
    try:
        go.set()
        before = len(ran)
        _region_jpeg.decode(large, 0, 900, pixels)
        after = len(ran)
    finally:
        sys.setswitchinterval(interval)
        thread.join()
    assert (before, after) == (0, 1)
