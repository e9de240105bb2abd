"""Which part of a frame to send in place of the whole, and how many bytes that saved."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from lockon_client.images import Frame, needs_encoding
from lockon_client.messages import NextWindow

SPARE_SCALE = 1.25
"""Windows are sent somewhat larger than `max_scale` allows. What is found is as good either way; but at this scale each
box comes nearer to that of whole frames, for a tenth more bytes (tests/benchmarks/windows.py)."""
LARGEST_SHARE = 0.75
"""A window is scaled down if that leaves at most this share of its pixels; else it goes with the very ones of the
frame."""


class Placement(NamedTuple):
    """Where a window lies in its frame, how large that frame is, and its image, which may be scaled down; in pixels."""

    x: int
    y: int
    width: int
    height: int
    full_width: int
    full_height: int
    image_width: int
    image_height: int

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the image."""
        return self.image_width, self.image_height

    @property
    def scaled(self) -> bool:
        """Whether the image has fewer pixels than the frame has there."""
        return self.image_size != (self.width, self.height)

    def cut(self, array: Any) -> Any:
        """The window's pixels of an (H, W, ...) array, as a view."""
        return array[self.y : self.y + self.height, self.x : self.x + self.width]


class Windows:
    """Chooses windows by what the server said last; without `wanted` every frame is sent whole."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._next: NextWindow | None = None
        self._size: tuple[int, int] | None = None
        self._since = 0  # the first frame of that size: what is said of earlier ones holds no more
        self._full_bytes = 0
        self.saved_bytes = 0

    def learn(self, seq: int, following: NextWindow | None) -> None:
        """Notes what the result for frame `seq` said of the next frame."""
        if seq >= self._since:
            self._next = following

    def forget(self) -> None:
        """Whole frames, until the server says again what it will look at."""
        self._next = None

    def placement(self, frame: Frame, *, starting: bool) -> Placement | None:
        """The part of this frame to send, None for all of it; `starting`: a target waits for a whole frame.

        Compressed images always go as they are: to cut one, it would have to be decoded and encoded again."""
        asked = self._next
        if not self._wanted or starting or asked is None or asked.full or asked.window is None:
            return None
        size = _size(frame)
        if size is None or size != self._size:
            return None
        return Placement(*asked.window, *size, *image_size(*asked.window[2:], asked.max_scale))

    def sent(self, seq: int, frame: Frame, placement: Placement | None, size: int) -> None:
        """Notes a frame that took `size` bytes. A window saved what the last whole frame took more."""
        if placement is not None:
            self.saved_bytes += self._full_bytes - size
            return
        if _size(frame) != self._size:
            self._size, self._since, self._next = _size(frame), seq, None
        self._full_bytes = size


def image_size(width: int, height: int, max_scale: float) -> tuple[int, int]:
    """Width and height of the image of a window: with as many pixels as the network needs, if that is worth it.

    Both sides are scaled alike, within half a pixel of the image's height."""
    image_width = min(width, math.ceil(width * max_scale * SPARE_SCALE))
    image_height = max(1, round(image_width * height / width))
    worth_it = image_width * image_height <= LARGEST_SHARE * width * height
    return (image_width, image_height) if worth_it else (width, height)


def _size(frame: Frame) -> tuple[int, int] | None:
    """Width and height of an array; None for a compressed image, and for what is no picture at all."""
    shape: tuple[int, ...] = getattr(frame, "shape", ())
    return (shape[1], shape[0]) if needs_encoding(frame) and len(shape) >= 2 else None
