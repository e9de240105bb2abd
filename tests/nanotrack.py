"""The published files of NanoTrack in the shared data folder."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import SHARED

PUBLISHED = SHARED / "weights" / "nanotrack"


def checkpoint(name: str) -> Path:
    """The .pth file of a variant."""
    version = name.removeprefix("nanotrack_")
    return PUBLISHED / version / f"nanotrack{version}.pth"


def onnx_pair(name: str) -> tuple[Path, Path]:
    """A variant's backbone and head."""
    folder = PUBLISHED / name.removeprefix("nanotrack_")
    (backbone,), (head,) = folder.glob("*_backbone*.onnx"), folder.glob("*_head*.onnx")
    return backbone, head
