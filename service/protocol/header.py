"""Binary messages: the 32-byte header (or none, for a bare image) and the checks that precede any decoding."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag, StrEnum
from typing import NamedTuple

from service.protocol.images import MAX_SIDE, ImageHeader, ImageRefused, read_image_header, sniffed

MAGIC = b"LKON"
HEADER_VERSION = 1
HEADER_BYTES = 32
MAX_SEQ = 2**32 - 1
MIN_WINDOW = 16
MAX_FULL_SIDE = 16384
"""Longest side of a full frame that a window crop may be cut from, in pixels."""
_LAYOUT = struct.Struct("<4sBBHIHHQHHHH")


class Reason(StrEnum):
    """Why a frame was rejected; closed list, also the label of the metric."""

    TOO_SHORT = "too_short"
    BAD_MAGIC = "bad_magic"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNSUPPORTED_KIND = "unsupported_kind"
    UNSUPPORTED_FLAG = "unsupported_flag"
    SEQ_NOT_INCREASING = "seq_not_increasing"
    WINDOW_OUTSIDE = "window_outside"
    SIZE_MISMATCH = "size_mismatch"
    IMAGE_TOO_LARGE = "image_too_large"
    UNSUPPORTED_MEDIA = "unsupported_media"
    IMAGE_UNDECODABLE = "image_undecodable"
    TOO_BIG = "too_big"


class FrameRejected(ValueError):
    """A binary message that is no usable frame; the session goes on."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Kind(IntEnum):
    """What the picture shows."""

    FULL = 0
    WINDOW = 1


class Flag(IntFlag):
    """Bits 0-7 are critical (an unknown one is refused), bits 8-15 may be ignored."""

    MUST_PROCESS = 1 << 0
    DISCONTINUITY = 1 << 1
    TS_VALID = 1 << 2
    CLIENT_SCALED = 1 << 8
    NO_REPLY = 1 << 9


# Plain numbers: an enumeration's own arithmetic takes a microsecond, and this is done with every frame.
_UNKNOWN_CRITICAL = 0x00FF & ~int(Flag.MUST_PROCESS | Flag.DISCONTINUITY | Flag.TS_VALID)
_MUST_PROCESS, _TS_VALID, _NO_REPLY = int(Flag.MUST_PROCESS), int(Flag.TS_VALID), int(Flag.NO_REPLY)
_CLIENT_SCALED, _DISCONTINUITY = int(Flag.CLIENT_SCALED), int(Flag.DISCONTINUITY)
_WINDOW = bytes([Kind.WINDOW])


# Tuples, as those below: one with its fields set one by one takes several times as long to make.
class FrameHeader(NamedTuple):
    """The fields of the 32 bytes; sizes and positions in full-frame pixels, `ts_us` in microseconds. `kind` is one of
    Kind, `flags` are bits of Flag."""

    kind: int
    flags: int
    seq: int
    crop_w: int
    crop_h: int
    ts_us: int
    origin_x: int
    origin_y: int
    full_w: int
    full_h: int

    def packed(self) -> bytes:
        """The 32 bytes."""
        return _LAYOUT.pack(
            MAGIC,
            HEADER_VERSION,
            self.kind,
            self.flags,
            self.seq,
            self.crop_w,
            self.crop_h,
            self.ts_us,
            self.origin_x,
            self.origin_y,
            self.full_w,
            self.full_h,
        )


class Placement(NamedTuple):
    """Where a window crop lies in its frame, in frame pixels: the image may have been scaled down."""

    x: int
    y: int
    width: int
    height: int
    full_width: int
    full_height: int


class Frame(NamedTuple):
    """A frame that passed every check before decoding. `image` is the file, `ts_us` None where it is unknown,
    `received_s` when it came, on the server's monotonic clock; `window` is None where the image is the whole frame;
    `discontinuity` says that it does not follow on the frame before, as after a cut."""

    seq: int
    image: bytes
    header: ImageHeader
    ts_us: int | None
    must_process: bool
    no_reply: bool
    received_s: float
    window: Placement | None = None
    discontinuity: bool = False

    @property
    def width(self) -> int:
        """The whole frame's width in pixels."""
        return self.window.full_width if self.window else self.header.width

    @property
    def height(self) -> int:
        """The whole frame's height in pixels."""
        return self.window.full_height if self.window else self.header.height


def read_header(data: bytes, last_seq: int) -> FrameHeader:
    """The header of a binary message that carries one, checked in the documented order; raises FrameRejected."""
    if len(data) <= HEADER_BYTES:
        raise FrameRejected(Reason.TOO_SHORT, f"{len(data)} bytes; a header and an image need at least 33")
    magic, version, kind, flags, seq, crop_w, crop_h, ts_us, x, y, full_w, full_h = _LAYOUT.unpack_from(data)
    if magic != MAGIC:
        raise FrameRejected(Reason.BAD_MAGIC, "starts neither with LKON nor like a JPEG, PNG or WebP file")
    if version != HEADER_VERSION:
        raise FrameRejected(Reason.UNSUPPORTED_VERSION, f"header version {version}; this server reads 1")
    if kind not in (Kind.FULL, Kind.WINDOW):
        raise FrameRejected(Reason.UNSUPPORTED_KIND, f"kind {kind}; known are 0 (full frame) and 1 (window)")
    if unknown := flags & _UNKNOWN_CRITICAL:
        raise FrameRejected(Reason.UNSUPPORTED_FLAG, f"unknown critical flags {unknown:#04x}")
    if seq <= last_seq:
        raise FrameRejected(Reason.SEQ_NOT_INCREASING, f"seq {seq} after {last_seq}; it must grow")
    header = FrameHeader(kind, flags, seq, crop_w, crop_h, ts_us, x, y, full_w, full_h)
    if kind == Kind.WINDOW:
        _check_window(header)
    return header


def read_frame(data: bytes, last_seq: int, max_pixels: int, received_s: float) -> Frame:
    """The frame in a binary message, bare or with a header, with everything checked short of decoding.

    `last_seq` is the last accepted seq (-1 for none); a bare image takes the next one. Raises FrameRejected."""
    if not data.startswith(MAGIC) and sniffed(data) is not None:
        if last_seq >= MAX_SEQ:
            raise FrameRejected(Reason.SEQ_NOT_INCREASING, f"seq {last_seq} was the last one; start a new session")
        image = _checked_image(data, max_pixels)
        # The first bare frame is number 1, as in every example.
        return Frame(max(last_seq, 0) + 1, data, image, None, must_process=False, no_reply=False, received_s=received_s)
    header = read_header(data, last_seq)
    file = data[HEADER_BYTES:]
    image = _checked_image(file, max_pixels)
    window = None
    if header.kind == Kind.WINDOW:
        window = _placement(header, image)
        _check_scale(header, window, image, max_pixels)
    else:
        _check_size(header, image)
    flags = header.flags
    return Frame(
        seq=header.seq,
        image=file,
        header=image,
        ts_us=header.ts_us if flags & _TS_VALID and header.ts_us > 0 else None,
        must_process=bool(flags & _MUST_PROCESS),
        no_reply=bool(flags & _NO_REPLY),
        received_s=received_s,
        window=window,
        discontinuity=bool(flags & _DISCONTINUITY),
    )


def claims_window(data: bytes) -> bool:
    """Whether a binary message that nothing else is known of says that it is a window crop."""
    return data[:4] == MAGIC and data[5:6] == _WINDOW


def claimed_seq(data: bytes, last_seq: int) -> int | None:
    """The number that the header of a rejected message gives it; None where it has none that this server can read, or
    one that is not its own, since it is not larger than `last_seq`."""
    if len(data) <= HEADER_BYTES or data[:4] != MAGIC or data[4] != HEADER_VERSION:
        return None
    seq: int = _LAYOUT.unpack_from(data)[4]
    return seq if seq > last_seq else None


def _checked_image(file: bytes, max_pixels: int) -> ImageHeader:
    try:
        image = read_image_header(file)
    except ImageRefused as error:
        raise FrameRejected(Reason(error.reason), str(error)) from error
    if image.pixels > max_pixels or max(image.width, image.height) > MAX_SIDE:
        size = f"{image.width}x{image.height}"
        limit = f"the limit is {max_pixels} pixels and {MAX_SIDE} on a side"
        raise FrameRejected(Reason.IMAGE_TOO_LARGE, f"the image is {size}; {limit}")
    return image


def _check_window(header: FrameHeader) -> None:
    right, bottom = header.origin_x + header.crop_w, header.origin_y + header.crop_h
    sides = (header.full_w, header.full_h)
    if (
        right > header.full_w
        or bottom > header.full_h
        or not all(MIN_WINDOW <= side <= MAX_FULL_SIDE for side in sides)
    ):
        detail = f"the window ends at {right},{bottom} in a frame of {header.full_w}x{header.full_h}"
        raise FrameRejected(Reason.WINDOW_OUTSIDE, detail)
    if any(0 < side < MIN_WINDOW for side in (header.crop_w, header.crop_h)):
        detail = f"the window is {header.crop_w}x{header.crop_h}; at least {MIN_WINDOW} on a side"
        raise FrameRejected(Reason.WINDOW_OUTSIDE, detail)


def _placement(header: FrameHeader, image: ImageHeader) -> Placement:
    """Where the window lies. Without a declared size it is the image itself, unscaled."""
    width, height = header.crop_w or image.width, header.crop_h or image.height
    right, bottom = header.origin_x + width, header.origin_y + height
    if right > header.full_w or bottom > header.full_h:
        raise FrameRejected(Reason.WINDOW_OUTSIDE, f"the window ends at {right},{bottom}, outside the frame")
    if min(width, height) < MIN_WINDOW:
        detail = f"the window is {width}x{height}; at least {MIN_WINDOW} on a side"
        raise FrameRejected(Reason.WINDOW_OUTSIDE, detail)
    return Placement(header.origin_x, header.origin_y, width, height, header.full_w, header.full_h)


def _check_scale(header: FrameHeader, window: Placement, image: ImageHeader, max_pixels: int) -> None:
    if (window.width, window.height) == (image.width, image.height):
        return
    # Both sides by the same factor, give or take a pixel of the image.
    height = image.width * window.height / window.width
    shrunk = image.width <= window.width and image.height <= window.height and abs(image.height - height) <= 1
    if not header.flags & _CLIENT_SCALED or not shrunk:
        detail = f"the window is {window.width}x{window.height}, its image {image.width}x{image.height}"
        raise FrameRejected(Reason.SIZE_MISMATCH, f"{detail}; one that is scaled down alike needs flag bit 8")
    if window.width * window.height > max_pixels:
        detail = f"the window is {window.width}x{window.height}; the limit is {max_pixels} pixels"
        raise FrameRejected(Reason.IMAGE_TOO_LARGE, detail)


def _check_size(header: FrameHeader, image: ImageHeader) -> None:
    declared = (header.full_w or image.width, header.full_h or image.height)
    if declared != (image.width, image.height):
        detail = f"the header says {declared[0]}x{declared[1]}, the image is {image.width}x{image.height}"
        raise FrameRejected(Reason.SIZE_MISMATCH, detail)
