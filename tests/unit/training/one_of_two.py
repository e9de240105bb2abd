"""One of two processes that learn together: a whole run, one that stops, and its continuation.

RANK=0 python -m tests.unit.training.one_of_two RECIPE FOLDER PORT PORT PORT
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from training.fit import train


def main(recipe: Path, folder: Path, ports: list[str]) -> None:
    runs = (("whole", False, None), ("stopped", False, 3), ("stopped", True, None))
    for (name, resume, steps), port in zip(runs, ports, strict=True):
        os.environ["MASTER_PORT"] = port
        train(recipe, folder / name, resume=resume, steps=steps)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
