"""Whether decoding only a part of a frame pays."""

from __future__ import annotations

from models.frames import PixelRect

LARGEST_SHARE = 0.9
"""A part is decoded alone if it is predicted to cost less than this share of decoding the whole frame."""

# Least squares over square windows of 15, 30 and 50 % of the width, at top, middle and bottom of 720p and 1080p frames
# in 4:2:0, error at most .07; those for 4:4:4 (.55, .44, .74) give about the same. See tests/benchmarks/decoding.py.
_ROWS_ABOVE, _ROWS_INSIDE, _AREA = 0.59, 0.50, 0.72


def predicted_share(part: PixelRect, frame_width: int, frame_height: int, *, row_restarts: bool) -> float:
    """What decoding this part of a JPEG costs, as a share of decoding the whole.

    Rows above the part are read without making pixels of them, unless each row of MCUs starts anew (`row_restarts`):
    then they are jumped over. Rows below it cost nothing."""
    share = _ROWS_INSIDE * part.height / frame_height
    share += _AREA * part.width * part.height / (frame_width * frame_height)
    return share if row_restarts else share + _ROWS_ABOVE * part.y / frame_height
