"""Draws what `lockon track` found, and writes it as a video."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from models.geometry import Box
from models.presence import State
from models.runtimes.base import ByteArray
from service.commands.failures import CommandFailed

Colour = tuple[int, int, int]

COLOURS: dict[State, Colour] = {  # blue, green, red
    State.INITIALIZING: (255, 178, 66),
    State.TRACKING: (104, 211, 74),
    State.UNCERTAIN: (36, 176, 251),
    State.LOST: (94, 80, 240),
    State.REACQUIRED: (255, 178, 66),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def drawn(frame: ByteArray, box: Box, score: float, state: State) -> ByteArray:
    """A copy of the frame with the box and, above or inside it, a label with score and state."""
    picture = frame.copy()
    colour = COLOURS[state]
    short_side = min(picture.shape[:2])
    thickness = max(1, round(short_side / 240))
    left, top, right, bottom = (round(v) for v in (box.x, box.y, box.x + box.w, box.y + box.h))
    cv2.rectangle(picture, (left, top), (right, bottom), colour, thickness, cv2.LINE_AA)
    _label(picture, (left - thickness // 2, top), f"{score:.2f} {state}", colour, max(0.36, short_side / 900))
    return picture


def _label(picture: ByteArray, corner: tuple[int, int], text: str, colour: Colour, scale: float) -> None:
    """Dark text on a filled strip over the box's upper edge, moved so that all of it is inside the picture."""
    (width, ascent), descent = cv2.getTextSize(text, _FONT, scale, 1)
    pad = max(2, round(ascent / 3))
    strip_width, strip_height = width + 2 * pad, ascent + descent + pad
    left = max(0, min(corner[0], picture.shape[1] - strip_width))
    top = max(0, min(corner[1] - strip_height, picture.shape[0] - strip_height))
    cv2.rectangle(picture, (left, top), (left + strip_width, top + strip_height), colour, cv2.FILLED)
    at = (left + pad, top + strip_height - descent - pad // 2)
    cv2.putText(picture, text, at, _FONT, scale, (24, 24, 24), 1, cv2.LINE_AA)


class VideoFile:
    """An mp4 that is written frame by frame; all frames must have the first one's size."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> Self:
        """Nothing is opened before the first frame: its size is not known yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        if self._writer is not None:
            self._writer.release()

    def write(self, frame: ByteArray) -> None:
        """Adds one frame, (H, W, 3) uint8 BGR."""
        size = (frame.shape[1], frame.shape[0])
        if self._writer is None:
            self._writer, self._size = self._opened(size), size
        if size != self._size:
            # OpenCV would leave such a frame out without a word.
            raise CommandFailed(
                f"{self._path}: a frame is {size[0]}x{size[1]}, the first {self._size[0]}x{self._size[1]}"
            )
        self._writer.write(frame)

    def _opened(self, size: tuple[int, int]) -> cv2.VideoWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, size)
        if not writer.isOpened():
            raise CommandFailed(f"{self._path}: cannot be written as a video; use a name that ends in .mp4")
        return writer
