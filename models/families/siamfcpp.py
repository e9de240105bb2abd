"""SiamFC++: square windows around the target, boxes as centre and size, smoothed sizes and free positions."""

from __future__ import annotations

from models.crops import Window, context_side
from models.geometry import Box
from models.spec import CropSpec, LoopSpec


def template_window(box: Box, spec: CropSpec) -> Window:
    """The square around the target that is the template."""
    return Window.around(box.cx, box.cy, context_side(box.size, spec.context_amount))


def search_window(box: Box, spec: CropSpec) -> Window:
    """The square around the target's last place, with the target at the same scale as in the template."""
    side = context_side(box.size, spec.context_amount) * spec.search_size / spec.template_size
    return Window.around(box.cx, box.cy, side)


def to_frame(crop_box: Box, window: Window, spec: CropSpec) -> Box:
    """A box in pixels of the search crop -> the same box in frame pixels."""
    return window.to_frame(crop_box, spec.search_size)


def smooth(previous: Box, measured: Box, penalty: float, score: float, spec: LoopSpec) -> Box:
    """The measured centre, and a size between the previous and the measured one.

    w = previous.w (1 - rate) + measured.w rate, rate = penalty score size_lr; h alike.
    """
    rate = penalty * score * spec.size_lr
    w = previous.w * (1 - rate) + measured.w * rate
    h = previous.h * (1 - rate) + measured.h * rate
    return Box.from_centre(measured.cx, measured.cy, w, h)
