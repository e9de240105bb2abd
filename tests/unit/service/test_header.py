"""Binary messages: golden vectors, order of the checks, and that nothing but FrameRejected comes out."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.protocol.header import (
    MAGIC,
    Flag,
    FrameHeader,
    FrameRejected,
    Kind,
    Placement,
    claimed_seq,
    claims_window,
    read_frame,
    read_header,
)
from service.protocol.images import ImageKind, ImageRefused, read_image_header
from tests.drawing import Drawing, encoded

IMAGE = Drawing().jpeg(0)
FILES = {extension: encoded(Drawing().frame(0), extension) for extension in (".jpg", ".png", ".webp")}
GOLDEN = [
    ("4c4b4f4e 01000400 01000000 00000000 40420f00 00000000 00000000 0005d002", None),
    ("4c4b4f4e 01010501 d2040000 40014001 878ad704 00000000 1a016000 0005d002", None),
    ("4c4b4f4e 01001000 07000000 00000000 00000000 00000000 00000000 8002e001", "unsupported_flag"),
    ("4c4b4f4e 01010000 09000000 40014001 00000000 00000000 e8036000 0005d002", "window_outside"),
]


@pytest.mark.parametrize(("vector", "reason"), GOLDEN)
def test_the_golden_vectors_read_as_documented(vector: str, reason: str | None) -> None:
    data = bytes.fromhex(vector)
    if reason is None:
        assert read_header(data + IMAGE, -1).packed() == data
    else:
        with pytest.raises(FrameRejected) as rejection:
            read_header(data + IMAGE, -1)
        assert rejection.value.reason == reason


def test_the_fields_of_the_second_vector_are_those_documented() -> None:
    header = read_header(bytes.fromhex(GOLDEN[1][0]) + IMAGE, -1)
    assert (header.kind, header.seq, header.crop_w, header.crop_h) == (Kind.WINDOW, 1234, 320, 320)
    assert (header.origin_x, header.origin_y, header.full_w, header.full_h) == (282, 96, 1280, 720)
    assert header.flags == Flag.MUST_PROCESS | Flag.TS_VALID | Flag.CLIENT_SCALED


def test_a_bare_image_takes_the_next_number() -> None:
    assert read_frame(IMAGE, -1, 10**6, 0.0).seq == 1
    assert read_frame(IMAGE, 7, 10**6, 0.0).seq == 8
    with pytest.raises(FrameRejected, match="new session"):
        read_frame(IMAGE, 2**32 - 1, 10**6, 0.0)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.booleans())
def test_every_number_and_time_stamp_survives(seq: int, ts_us: int, must: bool) -> None:
    flags = Flag.TS_VALID | (Flag.MUST_PROCESS if must else Flag(0))
    header = FrameHeader(Kind.FULL, flags, seq, 0, 0, ts_us, 0, 0, 320, 240)
    frame = read_frame(header.packed() + IMAGE, -1, 10**6, 1.5)
    assert (frame.seq, frame.ts_us, frame.must_process) == (seq, ts_us or None, must)
    assert (frame.image, frame.received_s) == (IMAGE, 1.5)


@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"LKON\x01\x00", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF0000WEBPVP8"]),
)
def test_any_bytes_are_read_or_rejected(data: bytes, start: bytes) -> None:
    with contextlib.suppress(FrameRejected):
        read_frame(start + data, -1, 10**6, 0.0)


@given(st.integers(0, len(IMAGE)), st.sampled_from([".jpg", ".png", ".webp"]))
def test_a_header_cut_anywhere_is_read_or_refused(length: int, extension: str) -> None:
    try:
        header = read_image_header(FILES[extension][:length])
    except ImageRefused:
        return
    assert (header.width, header.height) == (320, 240)


@pytest.mark.parametrize(
    ("extension", "kind"), [(".jpg", ImageKind.JPEG), (".png", ImageKind.PNG), (".webp", ImageKind.WEBP)]
)
def test_sizes_are_read_without_decoding(extension: str, kind: ImageKind) -> None:
    for width, height in ((16, 16), (321, 200), (1000, 17)):
        picture = Drawing(width=width, height=height, side=8).frame(0)
        header = read_image_header(encoded(picture, extension))
        assert (header.kind, header.width, header.height, header.components) == (kind, width, height, 3)


def test_an_animated_webp_is_refused() -> None:
    file = b"RIFF\x00\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x0f\x00\x00\x0f\x00\x00"
    with pytest.raises(ImageRefused, match="animated"):
        read_image_header(file)


def window(
    file: bytes, *, size: tuple[int, int] = (0, 0), origin: tuple[int, int] = (16, 32), scaled: bool = False
) -> bytes:
    """A binary message with that file as a window of a 640 x 480 frame."""
    flags = Flag.CLIENT_SCALED if scaled else Flag(0)
    return FrameHeader(Kind.WINDOW, flags, 5, *size, 0, *origin, 640, 480).packed() + file


def test_a_window_says_where_it_lies_and_how_large_its_frame_is() -> None:
    frame = read_frame(window(IMAGE), -1, 10**6, 0.0)
    assert frame.window == Placement(16, 32, 320, 240, 640, 480)
    assert (frame.width, frame.height) == (640, 480)
    assert (frame.header.width, frame.header.height) == (320, 240)
    assert read_frame(window(IMAGE, size=(320, 240)), -1, 10**6, 0.0).window == frame.window
    assert read_frame(IMAGE, -1, 10**6, 0.0).window is None


def test_a_window_may_be_scaled_down_alike_on_both_sides() -> None:
    small = encoded(Drawing(width=100, height=67).frame(0), ".png")
    frame = read_frame(window(small, size=(300, 200), scaled=True), -1, 10**6, 0.0)
    assert frame.window == Placement(16, 32, 300, 200, 640, 480)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (window(IMAGE, origin=(321, 0)), "window_outside"),
        (window(IMAGE, origin=(0, 241)), "window_outside"),
        (window(encoded(Drawing(width=80, height=80).frame(0)[:15], ".png")), "window_outside"),
        (window(IMAGE, size=(15, 15), scaled=True), "window_outside"),
        (window(IMAGE, size=(400, 300)), "size_mismatch"),
        (window(IMAGE, size=(400, 304), scaled=True), "size_mismatch"),
        (window(IMAGE, size=(160, 120), scaled=True), "size_mismatch"),
        (window(IMAGE, size=(600, 450), scaled=True, origin=(0, 0)), "image_too_large"),
    ],
    ids=["right", "bottom", "thin", "thin when scaled", "no flag", "other aspect", "scaled up", "too large"],
)
def test_a_window_that_does_not_fit_is_refused(message: bytes, reason: str) -> None:
    with pytest.raises(FrameRejected) as rejection:
        read_frame(message, -1, 200_000, 0.0)
    assert rejection.value.reason == reason


def test_a_message_that_claims_to_be_a_window_is_counted_as_one() -> None:
    assert claims_window(window(b""))
    assert not claims_window(window(b"")[:5])
    assert not claims_window(IMAGE)


def test_a_rejected_message_is_named_by_its_number_where_it_has_one_of_its_own() -> None:
    assert claimed_seq(message(b"no image", seq=5), 4) == 5
    assert claimed_seq(message(b"no image", kind=7, seq=5), 4) == 5
    assert claimed_seq(message(b"no image", seq=5), 5) is None, "that is another frame's"
    assert claimed_seq(message(b"no image", version=2), 4) is None
    assert claimed_seq(message(b""), 4) is None
    assert claimed_seq(IMAGE, 4) is None


def message(
    file: bytes, *, version: int = 1, kind: int = 0, flags: int = 0, seq: int = 5, magic: bytes = MAGIC
) -> bytes:
    """A binary message, packed by hand."""
    return magic + struct.pack("<BBHIHHQHHHH", version, kind, flags, seq, *[0] * 7) + file


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        *[(message(b"")[:length], "too_short") for length in (0, 1, 31, 32)],
        (message(IMAGE, magic=b"LKOM", version=9), "bad_magic"),
        *[(message(IMAGE, version=version, kind=9), "unsupported_version") for version in (0, 2, 255)],
        *[(message(IMAGE, kind=kind, flags=16), "unsupported_kind") for kind in (2, 255)],
        *[(message(IMAGE, seq=seq), "seq_not_increasing") for seq in (0, 3, 4)],
        (message(b"GIF89a" + IMAGE), "unsupported_media"),
    ],
)
def test_a_message_is_rejected_for_its_first_fault(data: bytes, reason: str) -> None:
    with pytest.raises(FrameRejected) as rejection:
        read_frame(data, 4, 10**6, 0.0)
    assert rejection.value.reason == reason


@pytest.mark.parametrize("bit", range(16))
def test_unknown_critical_flags_are_refused_and_others_ignored(bit: int) -> None:
    data = message(IMAGE, flags=1 << bit)
    if 3 <= bit <= 7:
        with pytest.raises(FrameRejected, match="critical"):
            read_frame(data, -1, 10**6, 0.0)
    else:
        assert read_frame(data, -1, 10**6, 0.0).must_process is (bit == 0)
