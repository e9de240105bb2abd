"""The headers of image files: what is refused before anything is decoded, and that no file gets past with a size that a
decoder does not find in it."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.protocol.header import FrameRejected, read_frame
from service.protocol.images import MAX_SCANS, ImageRefused, read_image_header
from tests.drawing import Drawing, encoded
from tests.jpegs import jpeg, textured

PICTURE = Drawing(width=40, height=24, side=8).frame(0)
JPEG = encoded(PICTURE, ".jpg")
SOF = JPEG.index(b"\xff\xc0")
FILES = [
    JPEG,
    jpeg(textured(33, 17), "420", progressive=True),
    jpeg(textured(33, 17), "grey"),
    encoded(PICTURE, ".png"),
    encoded(cv2.cvtColor(PICTURE, cv2.COLOR_BGR2BGRA), ".png"),
    encoded(PICTURE, ".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    encoded(PICTURE, ".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
    encoded(cv2.cvtColor(PICTURE, cv2.COLOR_BGR2BGRA), ".webp"),
]


def sof(marker: int = 0xC0, bits: int = 8, width: int = 40, height: int = 24, components: int = 3) -> bytes:
    """A JPEG with another start of frame."""
    fields = struct.pack(">BBHBHHB", 0xFF, marker, 17, bits, height, width, components)
    return JPEG[:SOF] + fields + JPEG[SOF + len(fields) :]


@pytest.mark.parametrize(
    "file",
    [
        *[sof(marker) for marker in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)],
        *[sof(bits=bits) for bits in (2, 12, 16)],
        *[sof(components=components) for components in (0, 2, 4, 255)],
    ],
)
def test_jpegs_of_kinds_that_are_not_taken_are_refused(file: bytes) -> None:
    with pytest.raises(ImageRefused) as refusal:
        read_image_header(file)
    assert refusal.value.reason == "unsupported_media"


def test_a_progressive_jpeg_of_many_scans_is_refused() -> None:
    file = sof(0xC2)
    assert read_image_header(file).width == 40
    with pytest.raises(ImageRefused, match="scans"):
        read_image_header(file + b"\xff\xda" * MAX_SCANS)


@pytest.mark.parametrize(
    "start",
    [
        b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic", b"<svg", b"%PDF-1.7",
        b"PK\x03\x04", b"<html>", b"RIFF\0\0\0\0AVI ", b"\0\0\0\x0cjP  ", b"\xff\xd8\xfe", b"\x89PNG\r\n\n\n",
    ],
)  # fmt: skip
def test_files_of_other_kinds_are_refused(start: bytes) -> None:
    with pytest.raises(ImageRefused) as refusal:
        read_image_header(start + bytes(64))
    assert refusal.value.reason == "unsupported_media"
    with pytest.raises(FrameRejected):
        read_frame(start + bytes(64), -1, 10**6, 0.0)


@pytest.mark.parametrize(
    ("width", "height", "taken"),
    [(1, 1, True), (16, 1, True), (8192, 16, True), (8193, 16, False), (1000, 1001, False), (65535, 65535, False)],
)
def test_sides_and_pixels_have_limits(width: int, height: int, taken: bool) -> None:
    file = sof(width=width, height=height)
    if taken:
        assert read_frame(file, -1, 10**6, 0.0).width == width
    else:
        with pytest.raises(FrameRejected) as rejection:
            read_frame(file, -1, 10**6, 0.0)
        assert rejection.value.reason == "image_too_large"


def damaged(file: bytes, cuts: list[tuple[int, int, bytes]]) -> bytes:
    """The file with pieces of it replaced: position and length (in 1/1000 of the first 200 bytes), new bytes."""
    for position, length, new in cuts:
        at = position * min(len(file), 200) // 1000
        file = file[:at] + new + file[at + length :]
    return file


CUTS = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 6), st.binary(max_size=6)), min_size=1, max_size=4)


def _no_file_lies(file: bytes) -> None:
    try:
        header = read_image_header(file)
    except ImageRefused:
        return
    if header.pixels > 1_000_000:
        return  # refused by the limits; the decoder would only take its time
    picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert picture is None or picture.shape == (header.height, header.width, 3)


@given(st.sampled_from(FILES), CUTS)
@settings(max_examples=300, deadline=None, derandomize=True)
@example(JPEG[:2] + JPEG[SOF : SOF + 19] + JPEG[2:], [(999, 0, b"")])
def test_a_damaged_file_is_refused_or_has_the_size_that_it_says(
    file: bytes, cuts: list[tuple[int, int, bytes]]
) -> None:
    _no_file_lies(damaged(file, cuts))


@pytest.mark.slow
@pytest.mark.timeout(600)
@given(st.sampled_from(FILES), CUTS)
@settings(max_examples=30_000, deadline=None)
def test_damaged_files_for_long(file: bytes, cuts: list[tuple[int, int, bytes]]) -> None:
    _no_file_lies(damaged(file, cuts))
