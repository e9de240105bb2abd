"""Image headers: what a file is and how large, read from its first bytes before anything is decoded.

Every read is bounds-checked; whatever does not fit raises ImageRefused, never another exception."""

from __future__ import annotations

import struct
from enum import StrEnum
from typing import NamedTuple

MAX_SIDE = 8192
"""Longest side of an image in pixels."""
MAX_SCANS = 100
"""Scans of a progressive JPEG. Real files have about ten; each scan costs a pass over the whole picture."""

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODABLE_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive with Huffman coding; the others are lossless, hierarchical or arithmetic."""


class ImageRefused(ValueError):
    """The bytes are no picture that Lockon takes. `reason` is `unsupported_media` or `image_undecodable`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class ImageKind(StrEnum):
    """The formats that are taken."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"


class ImageHeader(NamedTuple):
    """What a file says of itself: width and height in pixels as stored (EXIF orientation is ignored)."""

    kind: ImageKind
    width: int
    height: int
    components: int

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def sniffed(data: bytes | memoryview) -> ImageKind | None:
    """The kind of image that these first bytes announce, or None."""
    start = bytes(data[:12])
    if start.startswith(b"\xff\xd8\xff"):
        return ImageKind.JPEG
    if start.startswith(_PNG_MAGIC):
        return ImageKind.PNG
    if start.startswith(b"RIFF") and start[8:] == b"WEBP":
        return ImageKind.WEBP
    return None


def read_image_header(data: bytes | memoryview) -> ImageHeader:
    """Kind, size and components of an image file; raises ImageRefused for what is not taken."""
    kind = sniffed(data)
    if kind is None:
        raise ImageRefused("unsupported_media", "the first bytes are neither JPEG, PNG nor WebP")
    try:
        header = _READERS[kind](data)
    except (struct.error, IndexError) as error:
        raise ImageRefused("image_undecodable", f"the {kind} file ends inside its header") from error
    if not (header.width and header.height):
        raise ImageRefused("image_undecodable", f"the {kind} file says that it is {header.width}x{header.height}")
    return header


def _read_jpeg(data: bytes | memoryview) -> ImageHeader:
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ImageRefused("image_undecodable", f"the jpeg file has no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker in _STANDALONE:
            position += 2
        elif marker in _FRAME_MARKERS:
            return _jpeg_frame(data, position, marker)
        elif marker in (0xD8, 0xD9, 0xDA, 0x00):
            raise ImageRefused("image_undecodable", "the jpeg file has no frame header before its data")
        else:
            length = data[position + 2] << 8 | data[position + 3]
            if length < 2:
                raise ImageRefused("image_undecodable", f"the jpeg file has a segment of length {length}")
            position += 2 + length


def _jpeg_frame(data: bytes | memoryview, position: int, marker: int) -> ImageHeader:
    _, bits, height, width, components = struct.unpack_from(">HBHHB", data, position + 2)
    if marker not in _DECODABLE_FRAMES or bits != 8:
        raise ImageRefused("unsupported_media", f"jpeg of type SOF{marker - 0xC0} with {bits} bits is not taken")
    if components not in (1, 3):
        raise ImageRefused("unsupported_media", f"jpeg with {components} components is not taken, send colour or grey")
    if marker == 0xC2 and bytes(data).count(b"\xff\xda") > MAX_SCANS:
        raise ImageRefused("unsupported_media", f"progressive jpeg with more than {MAX_SCANS} scans is not taken")
    return ImageHeader(ImageKind.JPEG, width, height, components)


def _read_png(data: bytes | memoryview) -> ImageHeader:
    length, chunk, width, height, _bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if chunk != b"IHDR" or length != 13:
        raise ImageRefused("image_undecodable", "the png file does not start with its header chunk")
    components = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(colour)
    if components is None:
        raise ImageRefused("image_undecodable", f"the png file has the unknown colour type {colour}")
    return ImageHeader(ImageKind.PNG, width, height, components)


def _read_webp(data: bytes | memoryview) -> ImageHeader:
    chunk = bytes(data[12:16])
    if chunk == b"VP8 ":
        start, width, height = struct.unpack_from("<3sHH", data, 23)
        if start != b"\x9d\x01\x2a":
            raise ImageRefused("image_undecodable", "the webp file has no key frame")
        return ImageHeader(ImageKind.WEBP, width & 0x3FFF, height & 0x3FFF, 3)
    if chunk == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F:
            raise ImageRefused("image_undecodable", "the webp file has no lossless signature")
        return ImageHeader(ImageKind.WEBP, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4 if bits >> 28 & 1 else 3)
    if chunk == b"VP8X":
        flags, size = struct.unpack_from("<B3x6s", data, 20)
        if flags & 0x02:
            raise ImageRefused("unsupported_media", "animated webp is not taken")
        width, height = (int.from_bytes(part, "little") + 1 for part in (size[:3], size[3:]))
        return ImageHeader(ImageKind.WEBP, width, height, 4 if flags & 0x10 else 3)
    raise ImageRefused("image_undecodable", "the webp file has no picture chunk")


_READERS = {ImageKind.JPEG: _read_jpeg, ImageKind.PNG: _read_png, ImageKind.WEBP: _read_webp}
