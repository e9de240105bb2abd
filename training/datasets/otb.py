"""OTB-2013, OTB-50 and OTB-100: `Basketball/img/0001.jpg` and `Basketball/groundtruth_rect.txt`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.datasets.layout import Layout, Split, subfolders
from training.datasets.textfiles import numbered_frames, read_lines, read_numbers, read_table, sequence_track
from training.datasets.tracks import DataInvalid, Track

RANGES = {
    "David": (300, 770),
    "Football1": (1, 74),
    "Freeman3": (1, 460),
    "Freeman4": (1, 283),
    "Diving": (1, 215),
}
"""First and last picture of sequences whose folder holds more of them than their truth has boxes."""
TARGETS = {"Jogging": (1, 2), "Skating2": (1, 2), "Human4": (2,)}
"""Sequences with numbered truth files; the first one of Human4 is empty."""
_SPLITS = {"otb100": Split(100, 59040), "otb50": Split(50), "otb2013": Split(51)}
_MARKS = {"otb50": "50", "otb2013": "2013"}


def _folders(root: Path) -> dict[str, Path]:
    """Folders by name in lower case: copies with david and David are both about."""
    return {path.name.lower(): path for path in subfolders(root)}


def _matches(root: Path) -> bool:
    known = {name.lower() for name, *_ in read_table("otb.txt")}
    return any(name in known and any(path.glob("groundtruth_rect*.txt")) for name, path in _folders(root).items())


def _present(root: Path) -> list[str]:
    """All three benchmarks are choices of the same folders."""
    return list(_SPLITS) if _matches(root) else []


def _sequences(root: Path, split: str) -> list[str]:
    """`Jogging.1` and `Jogging.2` where a folder has two targets."""
    names = []
    for name, *marks in read_table("otb.txt"):
        if split == "otb100" or _MARKS[split] in marks:
            targets = TARGETS.get(name, ())
            names += [f"{name}.{target}" for target in targets] if len(targets) > 1 else [name]
    return names


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    plain, _, target = name.partition(".")
    folder = _folders(root).get(plain.lower())
    if folder is None:
        raise DataInvalid(f"{root / plain}: is missing")
    truth = _truth(folder, plain, target)
    frames = numbered_frames(folder / "img")
    if plain in RANGES:
        first, last = RANGES[plain]
        frames = {number: file for number, file in frames.items() if first <= number <= last}
    boxes = read_numbers(truth, (4,))
    yield sequence_track("otb", name, folder / "img", frames, boxes, truth=truth, scene=f"otb/{plain}")


def _truth(folder: Path, plain: str, target: str) -> Path:
    """The truth file of a target; numbered files have it where groundtruth_rect.txt is missing or a target is named."""
    numbered = target or str(TARGETS.get(plain, ("",))[-1])
    candidates = [folder / f"groundtruth_rect.{numbered}.txt"] if numbered else []
    if not target:
        candidates.append(folder / "groundtruth_rect.txt")
    for path in candidates:
        if path.is_file() and read_lines(path):
            return path
    raise DataInvalid(f"{candidates[0]}: is missing or empty")


LAYOUT = Layout(
    "otb",
    "OTB",
    "http://cvlab.hanyang.ac.kr/tracker_benchmark (research only)",
    _SPLITS,
    (),
    _matches,
    _present,
    _sequences,
    _tracks,
    "one zip for each of 98 folders",
)
