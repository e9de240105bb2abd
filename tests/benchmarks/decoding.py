"""What decoding a part of a frame costs, as a share of decoding the whole, beside what the cost model predicts.

    python -m tests.benchmarks.decoding [--folder PHOTOS]

Square windows of 15, 30 and 50 % of the width, at the top, in the middle and at the bottom. CPU time of one thread;
whole and parts take turns, and a share is the median over the rounds: a busy machine spoils times more than shares.
`PHOTOS` is a folder of JPEG files, which are tiled; without it the frames are drawn. `*` marks what the decoder would
decode alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]

from models.frames import PixelRect
from models.runtimes.base import ByteArray
from service.engine import _region_jpeg
from service.engine.region import LARGEST_SHARE, predicted_share
from tests.jpegs import jpeg, textured

SIZES = ((1280, 720), (1920, 1080))
SIDES = (0.15, 0.30, 0.50)
PLACES = {"top": 0.0, "middle": 0.5, "bottom": 1.0}
QUALITY = 75


def tiled(folder: Path, width: int, height: int) -> ByteArray:
    """(height, width, 3): the folder's pictures side by side at their own size, so that they keep their detail."""
    read = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:12]]
    pictures = [picture for picture in read if picture is not None]
    assert pictures, f"{folder} has no JPEG files"
    frame = np.zeros((height, width, 3), np.uint8)
    x = y = row = index = 0
    while y < height:
        picture = pictures[index % len(pictures)]
        shown = picture[: height - y, : width - x]
        frame[y : y + shown.shape[0], x : x + shown.shape[1]] = shown
        x, row, index = x + shown.shape[1], max(row, shown.shape[0]), index + 1
        if x == width:
            x, y, row = 0, y + row, 0
    return frame


def cpu_s(call: Callable[[], object], repeats: int) -> float:
    """CPU seconds of this thread for one call."""
    began = time.thread_time()
    for _ in range(repeats):
        call()
    return (time.thread_time() - began) / repeats


def shares(file: bytes, parts: list[PixelRect], rounds: int) -> tuple[float, list[float]]:
    """CPU seconds of the whole, and each part's share of it."""

    def whole() -> object:
        return simplejpeg.decode_jpeg(file, colorspace="BGR", strict=True)

    def alone(part: PixelRect) -> Callable[[], object]:
        return lambda: _region_jpeg.decode(file, part.x, part.y, np.empty((part.height, part.width, 3), np.uint8))

    calls = [alone(part) for part in parts]
    times, found = [], []
    for _ in range(rounds):
        times.append(cpu_s(whole, 3))
        found.append([cpu_s(call, 3) / times[-1] for call in calls])
    return statistics.median(times), [statistics.median(column) for column in zip(*found, strict=True)]


def square(width: int, height: int, share: float, place: float) -> PixelRect:
    """The window of this share of the width, from the frame's top (0) to its bottom (1)."""
    side = min(round(width * share), height)
    return PixelRect((width - side) // 2, round((height - side) * place), side, side)


def cell(measured: float, predicted: float) -> str:
    """Two columns of the table."""
    return f"{measured:.2f} | {predicted:.2f}{' *' if predicted < LARGEST_SHARE else ''}"


def rows(frame: ByteArray, subsampling: str, rounds: int) -> Iterator[tuple[str, float, float]]:
    """Lines of the table, each with the errors of its two predictions."""
    height, width = frame.shape[:2]
    cases = [(side, place) for side in SIDES for place in PLACES]
    parts = [square(width, height, side, PLACES[place]) for side, place in cases]
    plain, restarted = (jpeg(frame, subsampling, quality=QUALITY, row_restarts=restarts) for restarts in (False, True))
    whole_s, plain_shares = shares(plain, parts, rounds)
    _, restarted_shares = shares(restarted, parts, rounds)
    name = f"{width}x{height} {subsampling}, {len(plain) / 1e3:.0f} kB | {whole_s * 1e3:.2f}"
    for (side, place), part, alone, jumped in zip(cases, parts, plain_shares, restarted_shares, strict=True):
        expected, jumping = (predicted_share(part, width, height, row_restarts=restarts) for restarts in (False, True))
        line = f"| {name} | {side:.0%} | {place} | {cell(alone, expected)} | {cell(jumped, jumping)} |"
        yield line, abs(alone - expected), abs(jumped - jumping)


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="JPEG photographs")
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    print("| frame | whole, ms | window | place | share | predicted | with row restarts | predicted |")  # noqa: T201
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")  # noqa: T201
    errors: list[float] = []
    for width, height in SIZES:
        frame = tiled(arguments.folder, width, height) if arguments.folder else textured(width, height)
        for subsampling in ("420", "444"):
            for line, *both in rows(frame, subsampling, arguments.rounds):
                print(line, flush=True)  # noqa: T201
                errors += both
    print(f"\nerror of the prediction: mean {statistics.mean(errors):.3f}, largest {max(errors):.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
