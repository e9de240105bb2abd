"""What decoding a part of a frame costs, as a share of decoding the whole, beside what the cost model predicts.

    python -m tests.benchmarks.decoding [--folder PHOTOS]

Square windows of 15, 30 and 50 % of the width, at the top, in the middle and at the bottom. CPU time of one thread; whole
and part take turns, and a share is the median of the shares of the rounds, since a busy machine spoils times more than
shares. `PHOTOS` is a folder of JPEG files, which are tiled; without it the frames are drawn. `*` marks what the decoder
would decode alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from models.runtimes.base import ByteArray
from service.engine import _region_jpeg
from service.engine.region import LARGEST_SHARE, PixelRect, predicted_share
from tests.jpegs import jpeg, textured

SIZES = ((1280, 720), (1920, 1080))
SIDES = (0.15, 0.30, 0.50)
PLACES = {"top": 0.0, "middle": 0.5, "bottom": 1.0}
QUALITY = 75


def tiled(folder: Path, width: int, height: int) -> ByteArray:
    """(height, width, 3): the folder's pictures side by side at their own size, so that they keep their detail."""
    pictures = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))[:12]]
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


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="JPEG photographs")
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args()
    print("| frame | whole, ms | window | place | share | predicted | with row restarts | predicted |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    errors = []
    for width, height in SIZES:
        frame = tiled(arguments.folder, width, height) if arguments.folder else textured(width, height)
        for subsampling in ("420", "444"):
            cases = [(side, place) for side in SIDES for place in PLACES]
            parts = []
            for side, place in cases:
                pixels = min(round(width * side), height)
                parts.append(PixelRect((width - pixels) // 2, round((height - pixels) * PLACES[place]), pixels, pixels))
            files = [jpeg(frame, subsampling, quality=QUALITY, row_restarts=restarts) for restarts in (False, True)]
            (whole_s, plain), (_, restarted) = (shares(file, parts, arguments.rounds) for file in files)
            name = f"{width}x{height} {subsampling}, {len(files[0]) / 1e3:.0f} kB"
            for (side, place), part, *measured in zip(cases, parts, plain, restarted, strict=True):
                predicted = [predicted_share(part, width, height, row_restarts=restarts) for restarts in (False, True)]
                errors += [abs(a - b) for a, b in zip(measured, predicted, strict=True)]
                cells = " | ".join(
                    f"{share:.2f} | {expected:.2f}{' *' if expected < LARGEST_SHARE else ''}"
                    for share, expected in zip(measured, predicted, strict=True)
                )
                print(f"| {name} | {whole_s * 1e3:.2f} | {side:.0%} | {place} | {cells} |", flush=True)
    print(f"\nerror of the prediction: mean {statistics.mean(errors):.3f}, largest {max(errors):.3f}")


if __name__ == "__main__":
    main()
