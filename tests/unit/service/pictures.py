"""What tests of the decoder share: a picture as two JPEG files, and frames made of such files."""

from __future__ import annotations

import pytest

from models.frames import PixelRect
from service.engine import decoding
from service.engine.decoding import DecodeFailed, HostDecoder
from service.protocol.header import Frame
from service.protocol.images import ImageHeader, ImageKind, read_image_header
from tests.jpegs import jpeg, textured

DECODER = HostDecoder()
TOP_LEFT, MIDDLE = PixelRect(3, 2, 40, 30), PixelRect(150, 100, 60, 50)
WIDTH, HEIGHT = 320, 240
PICTURE = textured(WIDTH, HEIGHT)
PLAIN, RESTARTS = jpeg(PICTURE), jpeg(PICTURE, row_restarts=True)

needs_extension = pytest.mark.skipif(not decoding.REGIONS, reason="the region decoder is not built here")


def frame(file: bytes, header: ImageHeader | None = None) -> Frame:
    """A frame with this file, as the session gives it to the decoder."""
    header = header or read_image_header(file)
    return Frame(1, file, header, None, must_process=False, no_reply=False, received_s=0.0)


def refused(file: bytes, part: PixelRect = MIDDLE) -> bool:
    """Whether the part cannot be had from a file whose header was taken for good when it came in."""
    try:
        DECODER.decode_part(frame(file, ImageHeader(ImageKind.JPEG, WIDTH, HEIGHT, 3)), part)
    except DecodeFailed as error:
        return len(str(error)) > 10
    return False
