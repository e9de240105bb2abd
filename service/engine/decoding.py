"""From a compressed frame to pixels, of the whole frame or of the part that is looked at."""

from __future__ import annotations

import os
from typing import Protocol

# A second line of defence behind the check of the header; OpenCV reads it once, when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(64 * 1024 * 1024))

import cv2
import numpy as np

from models.frames import Picture, PixelRect
from models.runtimes.base import ByteArray
from service.engine.region import LARGEST_SHARE, predicted_share
from service.protocol.header import Frame
from service.protocol.images import ImageKind

try:
    import simplejpeg  # type: ignore[import-untyped]
except ImportError:  # there is no wheel for this platform
    simplejpeg = None

try:
    from service.engine import _region_jpeg
except ImportError:  # installed where libjpeg-turbo's headers were missing, or run where the library is
    REGIONS = False
else:
    REGIONS = True


def jpeg_decoder() -> str:
    """What decodes JPEG here, for the log: `region` (only what is looked at), `simplejpeg` or `opencv` (whole)."""
    if REGIONS:
        return "region"
    return "opencv" if simplejpeg is None else "simplejpeg"


class DecodeFailed(ValueError):
    """The file is damaged."""


class Decoder(Protocol):
    """Turns a frame's file into pixels; may be called from several threads at once."""

    def decode(self, frame: Frame) -> ByteArray:
        """The image, (H, W, 3) uint8 BGR, not rotated by EXIF; raises DecodeFailed."""

    def decode_all(self, frame: Frame) -> Picture:
        """All that was sent of the frame, as it was sent: a window may have been scaled down; raises DecodeFailed."""

    def decode_part(self, frame: Frame, part: PixelRect) -> Picture:
        """At least the pixels of `part` that were sent, more where that is cheaper; raises DecodeFailed.

        A file that was cut off is refused. Other damage shows only if it breaks the data down to the part's last row:
        a full decode notices more of it, since its data must come out even at the end."""


class HostDecoder:
    """libjpeg-turbo for JPEG, strict: a damaged frame would move the tracker. OpenCV for PNG and WebP.

    Where simplejpeg is missing OpenCV decodes JPEG as well: the same pixels, but it notices less damage."""

    def decode(self, frame: Frame) -> ByteArray:
        """(H, W, 3) uint8 BGR, not rotated by EXIF; raises DecodeFailed."""
        strict = frame.header.kind is ImageKind.JPEG and simplejpeg is not None
        pixels = _jpeg(frame) if strict else _other(frame.image)
        _check_size(pixels.shape[:2], frame)
        return pixels

    def decode_all(self, frame: Frame) -> Picture:
        """All that was sent of the frame, as it was sent: a window may have been scaled down; raises DecodeFailed."""
        pixels, window = self.decode(frame), frame.window
        if window is None:
            return Picture.of(pixels)
        whole, size = (window.full_width, window.full_height), (window.width, window.height)
        scaled_from = None if pixels.shape[:2] == size[::-1] else size
        picture = Picture(pixels, window.x, window.y, *whole, scaled_from=scaled_from)
        # Where all of a frame is needed, each pixel of it is.
        return picture.at_frame_scale() if size == whole else picture

    def decode_part(self, frame: Frame, part: PixelRect) -> Picture:
        """The part alone if the file is a plain JPEG and that is cheaper, else all of it; raises DecodeFailed."""
        inside = part.inside(frame.width, frame.height)
        # A window is hardly larger than what is looked at.
        if frame.window is not None or inside is None or not _pays(frame, inside):
            return self.decode_all(frame)
        return Picture(_region(frame.image, inside), inside.x, inside.y, frame.width, frame.height)


def _pays(frame: Frame, part: PixelRect) -> bool:
    """Whether the part can be decoded alone, and is cheaper so."""
    if not REGIONS or frame.header.kind is not ImageKind.JPEG:
        return False
    layout = _region_jpeg.layout(frame.image)
    if layout is None or layout[:2] != (frame.header.width, frame.header.height):
        return False
    return predicted_share(part, layout[0], layout[1], row_restarts=layout[2]) < LARGEST_SHARE


def _region(file: bytes, part: PixelRect) -> ByteArray:
    pixels = np.empty((part.height, part.width, 3), np.uint8)
    try:
        _region_jpeg.decode(file, part.x, part.y, pixels)
    except ValueError as error:
        raise DecodeFailed(f"damaged jpeg: {error}") from error
    return pixels


def _jpeg(frame: Frame) -> ByteArray:
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(frame.image, strict=True)
    except ValueError as error:
        raise DecodeFailed(f"damaged jpeg: {error}") from error
    # Before memory is taken, should libjpeg-turbo read the headers in another way than the checks at the door did.
    _check_size((height, width), frame)
    if colours in ("CMYK", "YCCK"):
        raise DecodeFailed("a jpeg with four components is not taken, send colour or grey")
    try:
        pixels: ByteArray = simplejpeg.decode_jpeg(frame.image, colorspace="BGR", strict=True)
    except ValueError as error:
        raise DecodeFailed(f"damaged jpeg: {error}") from error
    return pixels


def _check_size(size: tuple[int, ...], frame: Frame) -> None:
    expected = (frame.header.height, frame.header.width)
    if size != expected:
        raise DecodeFailed(f"the picture is {size[1]}x{size[0]}, its header says {expected[1]}x{expected[0]}")


def _other(file: bytes) -> ByteArray:
    try:
        pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise DecodeFailed(f"damaged image: {error.err}") from error
    if pixels is None:
        raise DecodeFailed("damaged image")
    return np.asarray(pixels, np.uint8)
