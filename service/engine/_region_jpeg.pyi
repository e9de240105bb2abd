"""The C extension in native/, there where it could be built."""

from models.runtimes.base import ByteArray

def layout(file: bytes, /) -> tuple[int, int, bool] | None:
    """(width, height, whether every row of MCUs is a restart interval) of a plain JPEG file, None for any other file.

    Plain: one sequential Huffman-coded scan of 8 bits; grey, or three components as 4:4:4, 4:2:2, 4:4:0 or 4:2:0. Only
    headers are read."""

def decode(file: bytes, x: int, y: int, pixels: ByteArray, /) -> None:
    """Fills `pixels`, (h, w, 3) BGR, C-contiguous, with the w x h pixels at (x, y) of a plain JPEG file.

    They are what a full decode gives there. Compressed data below them are not looked at. Raises ValueError if the
    rectangle is not inside the picture, and if the file is damaged above or in it or has no end; `pixels` is then
    undefined. Runs without the GIL."""
