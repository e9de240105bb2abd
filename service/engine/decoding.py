"""From a compressed frame to pixels."""

from __future__ import annotations

import os
from typing import Protocol

# A second line of defence behind the check of the header; OpenCV reads it once, when it is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(64 * 1024 * 1024))

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]

from models.runtimes.base import ByteArray
from service.protocol.header import Frame
from service.protocol.images import ImageKind


class DecodeFailed(ValueError):
    """The file is damaged."""


class Decoder(Protocol):
    """Turns a frame's file into pixels; may be called from several threads at once."""

    def decode(self, frame: Frame) -> ByteArray:
        """(H, W, 3) uint8 BGR, not rotated by EXIF; raises DecodeFailed."""


class HostDecoder:
    """libjpeg-turbo for JPEG, strict: a damaged frame would move the tracker. OpenCV for PNG and WebP."""

    def decode(self, frame: Frame) -> ByteArray:
        """(H, W, 3) uint8 BGR, not rotated by EXIF; raises DecodeFailed."""
        pixels = self._jpeg(frame.image) if frame.header.kind is ImageKind.JPEG else self._other(frame.image)
        expected = (frame.header.height, frame.header.width, 3)
        if pixels.shape != expected:
            raise DecodeFailed(f"the picture is {pixels.shape}, its header says {expected}")
        return pixels

    def _jpeg(self, file: bytes) -> ByteArray:
        try:
            pixels: ByteArray = simplejpeg.decode_jpeg(file, colorspace="BGR", strict=True)
        except ValueError as error:
            raise DecodeFailed(f"damaged jpeg: {error}") from error
        return pixels

    def _other(self, file: bytes) -> ByteArray:
        try:
            pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        except cv2.error as error:
            raise DecodeFailed(f"damaged image: {error.err}") from error
        if pixels is None:
            raise DecodeFailed("damaged image")
        return np.asarray(pixels, np.uint8)
