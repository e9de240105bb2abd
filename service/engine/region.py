"""Which part of a frame to decode, and whether decoding only that part pays."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_SHARE = 0.9
"""A part is decoded alone if it is predicted to cost less than this share of decoding the whole frame."""

# Least squares over square windows of 15, 30 and 50 % of the width, at top, middle and bottom of 720p and 1080p frames
# in 4:2:0, error at most .07; those for 4:4:4 (.55, .44, .74) give about the same. See tests/benchmarks/decoding.py.
_ROWS_ABOVE, _ROWS_INSIDE, _AREA = 0.59, 0.50, 0.72


@dataclass(frozen=True, slots=True)
class PixelRect:
    """A rectangle of whole frame pixels: top-left corner and size. It may reach outside the frame."""

    x: int
    y: int
    width: int
    height: int

    def inside(self, frame_width: int, frame_height: int) -> PixelRect | None:
        """The part of it that lies in the frame, None if there is none."""
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.width, frame_width), min(self.y + self.height, frame_height)
        return PixelRect(left, top, right - left, bottom - top) if right > left and bottom > top else None


def predicted_share(part: PixelRect, frame_width: int, frame_height: int, *, row_restarts: bool) -> float:
    """What decoding this part of a JPEG costs, as a share of decoding the whole.

    Rows above the part are read without making pixels of them, unless each row of MCUs starts anew (`row_restarts`):
    then they are jumped over. Rows below it cost nothing."""
    share = _ROWS_INSIDE * part.height / frame_height
    share += _AREA * part.width * part.height / (frame_width * frame_height)
    return share if row_restarts else share + _ROWS_ABOVE * part.y / frame_height
