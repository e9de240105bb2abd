"""Moving pictures with known truth, as files that Chromium plays as a camera or as a video.

Each picture carries its own number as a row of black and white blocks beneath it, so that a test can ask the page's
canvas which frame it shows, whatever was dropped on the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

STRIP_HEIGHT = 24
BITS = 8
FRAMES_PER_SECOND = 15


@dataclass(frozen=True)
class Recording:
    """Frames (H, W, 3) BGR with even sides and the truth, (N, 4) x, y, w, h. Played forwards, then backwards."""

    frames: list[Image]
    boxes: NDArray[np.float64]

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.frames[0].shape[:2]
        return width, height + STRIP_HEIGHT

    def numbered(self, index: int) -> Image:
        """Frame `index` with its number beneath, most significant bit left."""
        frame = self.frames[index]
        strip = np.zeros((STRIP_HEIGHT, frame.shape[1], 3), np.uint8)
        block = frame.shape[1] // BITS
        for bit in range(BITS):
            if index >> (BITS - 1 - bit) & 1:
                strip[:, bit * block : (bit + 1) * block] = 255
        return np.vstack([frame, strip])

    def write_camera(self, path: Path) -> Path:
        """YUV4MPEG2, as Chromium's fake camera plays it in an endless loop; to and fro, so that nothing jumps."""
        width, height = self.size
        there = list(range(len(self.frames)))
        with path.open("wb") as file:
            file.write(f"YUV4MPEG2 W{width} H{height} F{FRAMES_PER_SECOND}:1 Ip A1:1 C420\n".encode())
            for index in there + there[-2:0:-1]:
                file.write(b"FRAME\n" + cv2.cvtColor(self.numbered(index), cv2.COLOR_BGR2YUV_I420).tobytes())
        return path

    def write_video(self, path: Path) -> Path:
        """WebM with VP8, which every Chromium plays."""
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), FRAMES_PER_SECOND, self.size)
        assert video.isOpened(), "this OpenCV writes no VP8"
        for index in range(len(self.frames)):
            video.write(self.numbered(index))
        video.release()
        return path


def drawn(count: int = 90, enlarged: int = 1) -> Recording:
    """A patterned square that goes round once on a quiet ground, 320 x 240, or so many times that."""
    rng = np.random.default_rng(7)
    ground = cv2.GaussianBlur(rng.integers(60, 120, (240, 320, 3), dtype=np.uint8), (0, 0), 3)
    patch = cv2.resize(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), (48, 48), interpolation=cv2.INTER_NEAREST)
    frames, boxes = [], []
    for angle in np.linspace(0, 2 * np.pi, count, endpoint=False):
        x, y = round(136 + 80 * np.cos(angle)), round(96 + 50 * np.sin(angle))
        frame = np.array(ground, np.uint8)
        frame[y : y + 48, x : x + 48] = patch
        frames.append(np.asarray(cv2.resize(frame, None, fx=enlarged, fy=enlarged), np.uint8))
        boxes.append((x, y, 48, 48))
    return Recording(frames, np.array(boxes, float) * enlarged)


def vanishing(count: int = 80) -> Recording:
    """The drawn square moves for a quarter of the time, then a blind comes down, so that a tracker must lose it."""
    there = drawn()
    blind = np.zeros_like(there.frames[0])
    blind[np.arange(len(blind)) // 6 % 2 == 1] = 255
    stays = count // 4
    return Recording(there.frames[:stays] + [blind] * (count - stays), there.boxes[:stays])


def real(sequence: Path, count: int) -> Recording:
    """The first `count` frames of a folder with `img/*.jpg` and `groundtruth.txt`, sides cut to even numbers."""
    paths = sorted((sequence / "img").glob("*.jpg"))[:count]
    read = [cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) for path in paths]
    images = [image for image in read if image is not None]
    assert len(images) == count, f"{sequence} holds fewer than {count} images that can be read"
    height, width = images[0].shape[0] & ~1, images[0].shape[1] & ~1
    frames = [np.asarray(image[:height, :width], np.uint8) for image in images]
    return Recording(frames, np.loadtxt(sequence / "groundtruth.txt", delimiter=",")[:count])
