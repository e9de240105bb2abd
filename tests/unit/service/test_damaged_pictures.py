"""Decoding of files that are damaged, or lie about themselves: an error, or the pixels of a full decode."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from models.frames import PixelRect
from models.runtimes.base import ByteArray
from service.engine.decoding import DecodeFailed
from service.protocol.images import ImageHeader, ImageKind
from tests.unit.service.pictures import (
    DECODER,
    HEIGHT,
    MIDDLE,
    PLAIN,
    RESTARTS,
    TOP_LEFT,
    WIDTH,
    frame,
    needs_extension,
    refused,
)


def claiming(file: bytes, width: int, height: int) -> bytes:
    """The JPEG file with another size in its frame header."""
    at = file.index(b"\xff\xc0")
    return file[: at + 5] + struct.pack(">HH", height, width) + file[at + 9 :]


def marker_positions(file: bytes) -> Iterator[int]:
    """Where the restart markers' second bytes are."""
    start = file.index(b"\xff\xda") + 14
    return (at for at in range(start, len(file)) if file[at - 1] == 0xFF and 0xD0 <= file[at] <= 0xD7)


@pytest.mark.parametrize("file", [PLAIN, RESTARTS], ids=["plain", "restarts"])
@pytest.mark.parametrize("part", [TOP_LEFT, MIDDLE], ids=["top", "middle"])
def test_a_file_that_was_cut_off_is_refused_wherever_the_part_is(file: bytes, part: PixelRect) -> None:
    assert [
        kept for kept in (*range(200, len(file), 97), len(file) - 2, len(file) - 1) if not refused(file[:kept], part)
    ] == []


def test_what_follows_the_picture_does_not_matter() -> None:
    part = DECODER.decode_part(frame(PLAIN + bytes(10_000)), MIDDLE)
    assert np.array_equal(part.pixels, DECODER.decode_part(frame(PLAIN), MIDDLE).pixels)


@needs_extension
def test_damage_counts_down_to_the_part_and_not_below_it() -> None:
    def damaged(at: int) -> bytes:
        return PLAIN[:at] + b"\xff\xd5" * 20 + PLAIN[at + 40 :]

    assert refused(damaged(PLAIN.index(b"\xff\xda") + 500), MIDDLE)
    bottom = damaged(len(PLAIN) - 200)
    with pytest.raises(DecodeFailed):
        DECODER.decode(frame(bottom))
    clean = DECODER.decode_part(frame(PLAIN), TOP_LEFT)
    assert np.array_equal(DECODER.decode_part(frame(bottom), TOP_LEFT).pixels, clean.pixels)


@pytest.mark.parametrize(
    "size", [(WIDTH + 16, HEIGHT), (WIDTH, HEIGHT + 16), (16, 16), (65500, 65500), (0, 240), (320, 0)]
)
@pytest.mark.parametrize("file", [PLAIN, RESTARTS], ids=["plain", "restarts"])
def test_a_file_of_another_size_than_was_read_first_is_refused(file: bytes, size: tuple[int, int]) -> None:
    assert refused(claiming(file, *size))


@needs_extension
@pytest.mark.parametrize("file", [PLAIN, RESTARTS], ids=["plain", "restarts"])
@pytest.mark.parametrize("height", [HEIGHT + 16, 8000])
def test_a_file_that_claims_more_rows_than_it_has_is_refused_where_they_are_missing(file: bytes, height: int) -> None:
    tall = frame(claiming(file, WIDTH, height))
    with pytest.raises(DecodeFailed):
        DECODER.decode_part(tall, PixelRect(10, height - 20, 20, 20))


@needs_extension
def test_restart_markers_that_are_missing_or_out_of_order_are_refused() -> None:
    positions = list(marker_positions(RESTARTS))
    assert len(positions) == HEIGHT // 16 - 1
    third, fourth = positions[2], positions[3]
    swapped = bytearray(RESTARTS)
    swapped[third], swapped[fourth] = RESTARTS[fourth], RESTARTS[third]
    assert refused(bytes(swapped))
    assert refused(RESTARTS[: third - 1] + RESTARTS[third + 1 :])
    assert refused(RESTARTS[: third + 1] + RESTARTS[fourth + 1 :])
    assert refused(RESTARTS[:third] + b"\xd9" + RESTARTS[third + 1 :])
    interval = RESTARTS.index(b"\xff\xdd\x00\x04") + 5
    assert refused(RESTARTS[:interval] + bytes([RESTARTS[interval] + 1]) + RESTARTS[interval + 1 :])


def test_wrong_segment_lengths_are_refused() -> None:
    for marker in (b"\xff\xdb", b"\xff\xc4", b"\xff\xc0", b"\xff\xda"):
        at = PLAIN.index(marker) + 2
        for length in (0, 1, 2, 5, 300, 65535):
            if length != struct.unpack_from(">H", PLAIN, at)[0]:
                assert refused(PLAIN[:at] + struct.pack(">H", length) + PLAIN[at + 2 :]), (marker, length)


def test_four_components_are_refused() -> None:
    cmyk = simplejpeg.encode_jpeg(np.zeros((HEIGHT, WIDTH, 4), np.uint8), colorspace="CMYK")
    assert refused(cmyk)


@given(at=st.integers(2, len(PLAIN) - 1), value=st.integers(0, 255), file=st.sampled_from((PLAIN, RESTARTS)))
@settings(max_examples=400, deadline=None)
def test_one_wrong_byte_gives_the_pixels_of_a_full_decode_or_an_error(at: int, value: int, file: bytes) -> None:
    wrong = frame(file[:at] + bytes([value]) + file[at + 1 :], ImageHeader(ImageKind.JPEG, WIDTH, HEIGHT, 3))
    try:
        whole: ByteArray | None = DECODER.decode(wrong)
    except DecodeFailed:
        whole = None
    try:
        part = DECODER.decode_part(wrong, MIDDLE)
    except DecodeFailed:
        assert whole is None
        return
    if whole is not None:
        expected = whole[part.y : part.y + part.pixels.shape[0], part.x : part.x + part.pixels.shape[1]]
        assert np.array_equal(part.pixels, expected)


@needs_extension
def test_errors_leave_no_memory_behind() -> None:
    broken = [file[: len(file) // 2] + b"\xff\xd9" for file in (PLAIN, RESTARTS)]
    resident = []
    for _ in range(3):
        for file in broken * 300:
            assert refused(file)
            DECODER.decode_part(frame(RESTARTS), MIDDLE)
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]))
    assert resident[2] - resident[1] < 256, "pages"
