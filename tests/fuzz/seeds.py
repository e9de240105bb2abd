"""Writes the seeds of the fuzz target `region_jpeg`: small pictures in every layout, each after a rectangle.

python -m tests.fuzz.seeds FOLDER
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from tests.jpegs import SUBSAMPLINGS, jpeg, textured


def main(folder: Path) -> None:
    """Makes `folder` and fills it."""
    folder.mkdir(parents=True, exist_ok=True)
    for subsampling in SUBSAMPLINGS:
        for restarts in (False, True):
            for width, height in ((8, 8), (17, 33), (40, 72), (70, 150)):
                file = jpeg(textured(width, height), subsampling, row_restarts=restarts, progressive=False)
                rectangle = struct.pack(">4H", width // 3, height // 2, 9, 20)
                name = f"{subsampling}-{width}x{height}-{'restarts' if restarts else 'plain'}"
                (folder / name).write_bytes(rectangle + file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
