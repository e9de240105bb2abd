"""What it costs in accuracy, and saves in bytes, to send windows in place of frames, scaled down or not.

    python -m tests.benchmarks.windows                                  # the default model
    python -m tests.benchmarks.windows --model siamfcpp_tiny --width 960 --spares 1 1.25 2

The sequences are enlarged to the width of a camera's picture, with grain, since windows of small pictures are never
scaled down. Windows go through the client's own choice and encoding and the server's own reading. `1.25 x`: they are
scaled down to 1.25 times what the network takes.

AUC: each way follows by itself. Where one loses a target that another keeps, by luck, a sequence's AUC differs by .1
and more, either way. `one step` has no such luck: the mean overlap with the truth where every frame goes on from what
whole frames had found; `likeness`: the mean overlap of these boxes with those of whole frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from lockon_client.images import encoded
from lockon_client.protocol import encode_frame
from lockon_client.windows import SPARE_SCALE, Placement, image_size
from rich.console import Console
from rich.table import Table

from models.frames import Picture
from models.geometry import Box, intersection_over_union
from models.package import DEFAULT_MODEL, load_tracker
from models.runtimes.base import ByteArray
from models.target import Target
from models.tracker import Tracker
from service.engine.decoding import HostDecoder
from service.engine.views import next_window
from service.protocol.header import Frame, read_frame
from tests.conftest import SHARED
from training.evaluation.metrics import score
from training.evaluation.sequences import Clip, read_sequences

DECODER = HostDecoder()
MAX_PIXELS = 2**26
GRAIN = 3.0
"""Standard deviation of the noise that a camera adds."""


@dataclass(slots=True)
class Way:
    """How frames are sent: whole, as windows, or as windows of `spare` times the scale that the network takes."""

    name: str
    windows: bool = True
    spare: float | None = None
    target: Target | None = None
    boxes: list[Box] = field(default_factory=list)
    aucs: list[float] = field(default_factory=list)
    one_step: list[float] = field(default_factory=list)
    likeness: list[float] = field(default_factory=list)
    kilobytes: list[float] = field(default_factory=list)
    scaled: int = 0

    def sent(self, tracker: Tracker, target: Target, pixels: ByteArray, whole: Frame) -> Frame:
        """The target's next frame, `pixels`, as the server reads it; `whole`: sent as a whole."""
        following = next_window(tracker, [target], whole)
        if not self.windows or following["full"]:
            return whole
        x, y, width, height = following["window"]
        size = (width, height)
        if self.spare is not None:
            size = image_size(width, height, following["max_scale"] * self.spare / SPARE_SCALE)
        placement = Placement(x, y, width, height, whole.width, whole.height, *size)
        file = encoded(placement.cut(pixels), size if placement.scaled else None)
        return _read(encode_frame(file, whole.seq, whole.ts_us, must_process=True, placement=placement))

    def follow(self, tracker: Tracker, pixels: ByteArray, whole: Frame) -> None:
        """Follows the way's own target into its next frame."""
        assert self.target is not None
        frame = self.sent(tracker, self.target, pixels, whole)
        self.kilobytes.append(len(frame.image) / 1e3)
        self.scaled += frame.window is not None and frame.window.width != frame.header.width
        self.boxes.append(tracker.follow(self.target, _picture(frame)).box)


def follow_all(tracker: Tracker, clip: Clip, width: int, ways: Sequence[Way]) -> None:
    """Follows the clip's target in every way; and, from where the first way has it, one step in each of them."""
    frames = _enlarged(clip, width)
    pixels, scale = next(frames)
    first = Box(*(float(side) * scale for side in clip.first_box.xywh()))
    for way in ways:
        way.target, way.boxes = tracker.start(pixels, first), [first]
    leading = ways[0].target
    assert leading is not None
    for index, (pixels, _) in enumerate(frames, 1):
        message = encode_frame(encoded(pixels), index, round(index * 1e6 / clip.fps), must_process=True)
        whole, truth = _read(message), clip.truth[index] * scale
        sent = [way.sent(tracker, leading, pixels, whole) for way in ways]
        steps = [np.array(tracker.follow(copy(leading), _picture(frame)).box.xywh()) for frame in sent]
        for way, box in zip(ways, steps, strict=True):
            way.likeness.append(float(intersection_over_union(box, steps[0])))
            if not np.isnan(truth).any():
                way.one_step.append(float(intersection_over_union(box, truth)))
            way.follow(tracker, pixels, whole)
    for way in ways:
        way.aucs.append(score(np.array([box.xywh() for box in way.boxes]) / scale, clip.truth).auc)


def _enlarged(clip: Clip, width: int) -> Iterator[tuple[ByteArray, float]]:
    """The clip's frames at that width, each with how far it was enlarged."""
    grain = np.random.default_rng(1).normal(0, GRAIN, (2 * width, width, 1))
    bank = np.repeat(grain.round().astype(np.int16), 3, axis=2)
    for index, frame in enumerate(clip.frames()):
        scale = width / frame.shape[1]
        larger = cv2.resize(frame, (width, round(frame.shape[0] * scale)), interpolation=cv2.INTER_CUBIC)
        top = index * 37 % (2 * width - len(larger))
        yield np.asarray(cv2.add(larger, bank[top : top + len(larger)], dtype=cv2.CV_8U), np.uint8), scale


def _read(message: bytes) -> Frame:
    return read_frame(message, -1, MAX_PIXELS, 0.0)


def _picture(frame: Frame) -> Picture:
    assert frame.ts_us is not None
    return replace(DECODER.decode_all(frame), time_s=frame.ts_us / 1e6)


def table(ways: Sequence[Way]) -> Table:
    """One row for each way."""
    shown = Table("sent", "AUC", "one step", "likeness", "kB a frame", "scaled down")
    for way in ways:
        shown.add_row(
            way.name,
            f"{fmean(way.aucs):.4f}",
            f"{fmean(way.one_step):.4f}",
            f"{fmean(way.likeness):.4f}",
            f"{fmean(way.kilobytes):.1f}",
            f"{way.scaled / len(way.kilobytes):.0%}",
        )
    return shown


def main() -> None:
    """Follows every sequence in every way and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, default=SHARED / "data" / "eval", help="folder of sequences")
    options.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of a package")
    options.add_argument("--width", type=int, default=1280, help="of the enlarged frames")
    options.add_argument("--spares", type=float, nargs="+", default=[1.0, SPARE_SCALE, 1.5], help="scales to try")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    tracker = load_tracker(chosen.model)
    ways = [Way("whole frames", windows=False), Way("windows")]
    ways += [Way(f"windows, {spare:g} x", spare=spare) for spare in chosen.spares]
    for clip in read_sequences(chosen.folder):
        follow_all(tracker, clip, chosen.width, ways)
    Console(width=120).print(table(ways))


if __name__ == "__main__":
    main()
