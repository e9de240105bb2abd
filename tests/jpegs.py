"""JPEG files of every layout, for tests, benchmarks and seeds of the fuzzer."""

from __future__ import annotations

import cv2
import numpy as np

from models.runtimes.base import ByteArray

SUBSAMPLINGS = {
    "grey": 0,
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "440": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    "411": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
}
MCU_WIDTHS = {"grey": 8, "444": 8, "422": 16, "440": 8, "420": 16, "411": 32}


def textured(width: int, height: int, seed: int = 0) -> ByteArray:
    """(height, width, 3) uint8 BGR: coloured noise of several sizes, so that every block has detail."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for side in (2, 5, 13, 40):
        coarse = rng.uniform(-60, 60, (height // side + 2, width // side + 2, 3)).astype(np.float32)
        picture += cv2.resize(coarse, None, fx=side, fy=side, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return np.clip(picture + 128, 0, 255).astype(np.uint8)


def jpeg(
    picture: ByteArray,
    subsampling: str = "420",
    *,
    quality: int = 80,
    row_restarts: bool = False,
    progressive: bool = False,
) -> bytes:
    """The picture as a JPEG file; with `row_restarts`, each row of MCUs is a restart interval."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    if subsampling == "grey":
        picture = np.ascontiguousarray(picture[..., :1])
    else:
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLINGS[subsampling]]
    if row_restarts:
        options += [cv2.IMWRITE_JPEG_RST_INTERVAL, -(-picture.shape[1] // MCU_WIDTHS[subsampling])]
    done, file = cv2.imencode(".jpg", picture, options)
    assert done
    return file.tobytes()
