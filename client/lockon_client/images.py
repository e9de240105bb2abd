"""What may be passed as a frame, and how arrays become JPEG; OpenCV is imported only when an array comes."""

from __future__ import annotations

from typing import Any, TypeAlias

from lockon_client.errors import FrameInvalid

# A compressed image, or a numpy array: Any, because numpy is no dependency of this package.
Frame: TypeAlias = bytes | bytearray | memoryview | Any

_JPEG_QUALITY = 90


def needs_encoding(frame: object) -> bool:
    """Whether the frame is an array (to be encoded, in a thread) and not a compressed image."""
    return not isinstance(frame, bytes | bytearray | memoryview)


def checked(frame: bytes | bytearray | memoryview) -> bytes:
    """The bytes of a compressed image. Raises FrameInvalid unless they begin like JPEG, PNG or WebP."""
    image = bytes(frame)
    is_webp = image[:4] == b"RIFF" and image[8:12] == b"WEBP"
    if not (image.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or is_webp):
        raise FrameInvalid(f"a frame must be a JPEG, PNG or WebP image; these {len(image)} bytes begin {image[:8]!r}")
    return image


def encoded(array: Any, size: tuple[int, int] | None = None) -> bytes:
    """JPEG of an (H, W, 3) BGR or (H, W) grey uint8 array, scaled down to `size` (width, height) if there is one.

    Raises FrameInvalid where that cannot be done."""
    if not hasattr(array, "__array_interface__"):
        raise FrameInvalid(f"a frame must be image bytes or a numpy array, not {type(array).__name__}")
    try:
        import cv2
    except ImportError as error:
        remedy = "pip install lockon-client[arrays], or pass JPEG, PNG or WebP bytes"
        raise FrameInvalid(f"arrays need OpenCV to be encoded: {remedy}") from error
    try:
        if size is not None:
            array = cv2.resize(array, size, interpolation=cv2.INTER_AREA)
        ok, jpeg = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    except cv2.error as error:
        raise FrameInvalid(f"OpenCV cannot encode this array: {error}") from error
    if not ok:
        raise FrameInvalid(f"OpenCV could not encode an array of shape {array.shape}")
    return bytes(jpeg.tobytes())
