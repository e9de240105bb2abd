"""Golden vectors: outputs of the original trackers' own code.

They lie in the folder that LOCKON_GOLDEN names (default: golden/ in the shared data). Any set in the same layout will
do: nothing here knows seeds, start boxes or the names of the frames.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.runtimes.base import ByteArray
from tests.conftest import SHARED

# The vectors were made by torch's convolutions for AVX2. Those for AVX-512 sum in another order; on a long track that
# grows from one grey level in a crop to several pixels. torch reads this before its first convolution.
os.environ.setdefault("DNNL_MAX_CPU_ISA", "AVX2")

GOLDEN = Path(os.environ.get("LOCKON_GOLDEN", SHARED / "golden"))


@dataclass(frozen=True, slots=True)
class GoldenVariant:
    """One variant's folder."""

    folder: Path
    spec: dict[str, Any]

    def arrays(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """The arrays of an .npz file."""
        with np.load(self.folder / name) as file:
            return dict(file)

    def track(self) -> dict[str, Any]:
        """track.json."""
        content: dict[str, Any] = json.loads((self.folder / "track.json").read_text())
        return content

    def weights(self, spec: dict[str, Any] | None = None) -> dict[str, np.ndarray[Any, Any]]:
        """The state dict, under the original keys, that the vectors were made with."""
        state: dict[str, np.ndarray[Any, Any]] = _seed_rule().golden_weights(spec or self.spec)
        return state


def golden(name: str) -> GoldenVariant:
    """The folder of that name."""
    folder = GOLDEN / name
    return GoldenVariant(folder, json.loads((folder / "spec.json").read_text()))


def frame_files() -> list[Path]:
    """The frames in order; the originals count them from 1."""
    return sorted((GOLDEN / "frames").glob("*.jpg"))


def frame(which: int | str) -> ByteArray:
    """A frame by its number, counted from 1, or by its path below the golden folder. (H, W, 3) BGR."""
    path = GOLDEN / which if isinstance(which, str) else frame_files()[which - 1]
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)


def _seed_rule() -> Any:
    places = [folder / "seed_rule.py" for folder in (GOLDEN, SHARED / "golden")]
    path = next(place for place in places if place.is_file())
    specification = importlib.util.spec_from_file_location("seed_rule", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def _known_pixels() -> None:
    """Another JPEG decoder gives other pixels, and then no comparison of tracks is worth anything."""
    expected = json.loads((GOLDEN / "frames" / "SHA256SUMS.json").read_text())["frames"]
    for number, path in enumerate(frame_files(), start=1):
        assert hashlib.sha256(frame(number).tobytes()).hexdigest() == expected[path.name]["sha256"], path
