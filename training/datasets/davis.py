"""DAVIS 2016 and 2017: `JPEGImages/480p/bear/00000.jpg`, palette masks in `Annotations/480p`, lists in `ImageSets`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from training.datasets.layout import Layout, Split
from training.datasets.textfiles import numbered_frames, read_names
from training.datasets.tracks import DataInvalid, Files, Track, has_area

VOID = 255
_SPLITS = {
    "2017-train": Split(60),
    "2017-val": Split(30),
    "2017-test-dev": Split(30),
    "2016-train": Split(30),
    "2016-val": Split(20),
}
_Masks = NDArray[np.uint8]


def _list(root: Path, split: str) -> Path:
    year, _, part = split.partition("-")
    return root / "ImageSets" / year / f"{part}.txt"


def _present(root: Path) -> list[str]:
    if not (root / "JPEGImages" / "480p").is_dir():
        return []
    return [split for split in _SPLITS if _list(root, split).is_file()]


def _sequences(root: Path, split: str) -> list[str]:
    return read_names(_list(root, split))


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    """One track for each object, over all frames; it is visible where its number occurs in the mask."""
    single = split.startswith("2016")
    folder, masks = root / "JPEGImages" / "480p" / name, _mask_folder(root, single=single) / name
    frames = numbered_frames(folder)
    truth: list[dict[int, tuple[float, float, float, float]]] = []
    for number, file in frames.items():
        path = masks / f"{Path(file).stem}.png"
        if path.is_file():
            truth.append(_boxes(_mask(path), single=single))
        elif number == min(frames):
            raise DataInvalid(f"{path}: is missing")
        else:
            truth.append({})  # test-dev has masks of the first frame only
    absent = (np.nan,) * 4
    for thing in sorted(set().union(*truth)):
        boxes = np.array([frame.get(thing, absent) for frame in truth], np.float64)
        yield Track(
            "davis",
            f"{name}/{thing}",
            f"davis/{name}",
            None,
            Files(folder, tuple(frames.values())),
            np.arange(len(frames)),
            np.array(list(frames), np.int64),
            boxes,
            has_area(boxes),
        )


def _mask_folder(root: Path, *, single: bool) -> Path:
    """The masks of 2016 are one object each; packages of both years have them in a folder of their own."""
    own = root / "Annotations" / "480p_2016"
    return own if single and own.is_dir() else root / "Annotations" / "480p"


def _mask(path: Path) -> _Masks:
    """(H, W) object numbers: palette indices as they are, or the first channel of a mask saved in colour."""
    try:
        with Image.open(path) as image:
            mask = np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DataInvalid(f"{path}: cannot be read as an image") from error
    return np.asarray(mask[..., 0] if mask.ndim == 3 else mask, np.uint8)


def _boxes(mask: _Masks, *, single: bool) -> dict[int, tuple[float, float, float, float]]:
    """The box of each object in a mask. In 2017 255 is void; the masks of 2016 are 0 and 255, all one object."""
    numbers = {int(number) for number in np.unique(mask)} - {0}
    if numbers != {VOID} or not single:
        numbers -= {VOID}
    if single and numbers:
        return {1: _extent(np.isin(mask, list(numbers)))}
    return {number: _extent(mask == number) for number in sorted(numbers)}


def _extent(pixels: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """The box around the pixels: their number in width and height (pytracking's is one less)."""
    columns, rows = np.flatnonzero(pixels.any(axis=0)), np.flatnonzero(pixels.any(axis=1))
    x, y = int(columns[0]), int(rows[0])
    return float(x), float(y), float(int(columns[-1]) + 1 - x), float(int(rows[-1]) + 1 - y)


LAYOUT = Layout(
    "davis",
    "DAVIS 2016 and 2017",
    "https://davischallenge.org (trainval-480p and test-dev-480p)",
    _SPLITS,
    ("2017-train",),
    lambda root: bool(_present(root)),
    _present,
    _sequences,
    _tracks,
    "480p only; the masks of 2016, where there are some beside those of 2017, lie in Annotations/480p_2016",
)
