"""Crops of real pictures, cut as the tracking loop cuts them, for the check of an export."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch

from models.families import FAMILIES
from models.geometry import Box
from models.networks.exporting import Example
from models.runtimes.base import ByteArray
from models.spec import ModelSpec

MAX_TARGETS = 3
"""Pictures that are looked at: as many make the second batch."""

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def examples_from_frames(spec: ModelSpec, folder: Path) -> dict[int, list[Example]]:
    """For each search size a batch of one target and one of up to MAX_TARGETS.

    The target is what lies in the middle of a picture, a quarter of its sides long; it is looked for in the next one.
    Raises ValueError if no picture can be read."""
    frames = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in sorted(folder.iterdir()) if _is_picture(path)]
    pictures = [np.asarray(frame, np.uint8) for frame in frames[: MAX_TARGETS + 1] if frame is not None]
    if not pictures:
        raise ValueError(f"{folder}: no picture there can be read ({', '.join(_ENDINGS)})")
    pairs = list(zip(pictures, [*pictures[1:], pictures[-1]], strict=True))[:MAX_TARGETS]
    return {size: [_batch(spec, size, pairs[:1]), _batch(spec, size, pairs)] for size in spec.search_sizes}


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in _ENDINGS


def _batch(spec: ModelSpec, search_size: int, pairs: list[tuple[ByteArray, ByteArray]]) -> Example:
    rules = FAMILIES[spec.family]
    count, side = len(pairs), spec.crop.template_size
    templates = np.empty((count, side, side, 3), rules.crop_type)
    searches = np.empty((count, search_size, search_size, 3), rules.crop_type)
    sizes = np.empty((count, 2), np.float32)
    for row, (first, second) in enumerate(pairs):
        height, width = first.shape[:2]
        place = rules.start(Box.from_centre(width / 2, height / 2, width / 4, height / 4))
        fill = rules.fill(first)
        window = rules.search_window(place, spec.crop, search_size)
        rules.cut_template(first, place, spec.crop, fill, templates[row])
        rules.cut(second, window, searches[row], fill)
        sizes[row] = rules.penalty_size(place, window, spec.crop, search_size, 0)
    loop = torch.tensor([[spec.loop.penalty_k, spec.loop.window_influence, spec.loop.size_lr]]).repeat(count, 1)
    return Example(torch.from_numpy(templates), torch.from_numpy(searches), torch.from_numpy(sizes), loop)
