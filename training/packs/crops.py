"""The crops of a pack: a square around the target as wide as pysot's `crop511`, and never enlarged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import Window, context_side, mean_colour
from models.geometry import Box
from training.datasets.tracks import DataInvalid, Pictures, Track, decoded

_CONTEXT = 0.5
"""The context amount of every published crop; the span makes room for more."""


@dataclass(frozen=True, slots=True)
class CropRule:
    """How the frames of a data set become crops."""

    side: int = 511
    """Largest side in pixels; what is smaller in the frame stays as it is."""
    span: float = 511 / 127
    """Side of the square in sides of the target with its context: a template of 127 px stands in 511 px (pysot)."""
    quality: int = 90
    """Of the JPEG."""
    min_side: float = 6.0
    """Views whose target has a smaller side, in pixels of the frame, are left out."""
    every: int = 1
    """Of the frames that show the target, each so many-th is taken."""

    def __post_init__(self) -> None:
        if not 64 <= self.side <= 4096 or not 1 <= self.quality <= 100 or self.every < 1 or self.span < 1:
            raise DataInvalid(f"crop rule out of range: side 64..4096, quality 1..100, every from 1: {self}")

    def window(self, box: Box) -> tuple[Window, int]:
        """The square of whole frame pixels around a target, and the side of the crop that it becomes."""
        window = Window.around(box.cx, box.cy, context_side(box.size, _CONTEXT) * self.span)
        return window, min(self.side, int(window.side))


@dataclass(frozen=True, slots=True)
class Crops:
    """The crops of a track as pictures that are made when they are asked for."""

    track: Track
    rule: CropRule

    def __len__(self) -> int:
        """One for each frame."""
        return len(self.track)

    def name(self, number: int) -> str:
        """The frame's name and the track's, as one picture may show many objects."""
        return f"{self.track.pictures.name(int(self.track.numbers[number]))} around {self.track.name}"

    def encoded(self, number: int) -> bytes:
        """The crop as JPEG."""
        view = self.track.views[number]
        return encoded_crop(decoded(view.pictures, view.picture), view.box, self.rule)


def cropped(track: Track, rule: CropRule) -> Track:
    """The track in its crops: their pictures, and the boxes in their pixels. Its frames must show the target."""
    rows = np.arange(0, len(track), rule.every)
    taken = track.taken(rows) if rule.every > 1 else track
    boxes = np.empty((len(taken), 4))
    for row, view in enumerate(taken.views):
        window, side = rule.window(view.box)
        boxes[row] = window.to_crop(view.box, side).xywh()
    pictures: Pictures = Crops(taken, rule)
    return replace(taken, pictures=pictures, numbers=np.arange(len(taken)), boxes=boxes, polygons=None)


def encoded_crop(frame: NDArray[np.uint8], box: Box, rule: CropRule) -> bytes:
    """The crop around `box`, in frame pixels, as JPEG."""
    done, content = cv2.imencode(".jpg", cut_object(frame, box, rule), (cv2.IMWRITE_JPEG_QUALITY, rule.quality))
    assert done, "OpenCV encodes every picture"
    return content.tobytes()


def cut_object(frame: NDArray[np.uint8], box: Box, rule: CropRule) -> NDArray[np.uint8]:
    """(S, S, 3) of (H, W, 3): the square around `box`, made smaller where it is larger than `rule.side`.

    What lies outside the frame has the frame's mean colour."""
    window, side = rule.window(box)
    left, top = int(max(window.x, 0)), int(max(window.y, 0))
    right, bottom = int(min(window.x + window.side, frame.shape[1])), int(min(window.y + window.side, frame.shape[0]))
    crop = np.empty((side, side, 3), np.uint8)
    crop[:] = mean_colour(frame)
    if right <= left or bottom <= top:
        return crop
    part, scale = frame[top:bottom, left:right], side / window.side
    if side == window.side:
        x, y = left - int(window.x), top - int(window.y)
        crop[y : y + bottom - top, x : x + right - left] = part
        return crop
    # First to about the right size by areas, so that nothing is skipped, then to the exact place.
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    step_x, step_y = size[0] / (right - left), size[1] / (bottom - top)
    # Pixel centres are at half-integers: crop pixel u shows x = (u + 0.5) / scale + window.x of the frame.
    matrix = np.array(
        [
            [step_x / scale, 0, (0.5 / scale + window.x - left) * step_x - 0.5],
            [0, step_y / scale, (0.5 / scale + window.y - top) * step_y - 0.5],
        ]
    )
    cv2.warpAffine(
        small,
        matrix,
        (side, side),
        dst=crop,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    return crop
