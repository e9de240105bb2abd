"""ILSVRC's two sets of one layout: VID (videos) and DET (stills), `Data/…/NAME.JPEG` beside `Annotations/…/NAME.xml`.

A box is the difference of its corners, as pysot, pytracking and mmtracking count (video_analyst adds 1). Frames marked
as occluded count as visible, as in pysot and video_analyst.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from training.datasets.layout import Layout, Split, subfolders
from training.datasets.textfiles import file_names
from training.datasets.tracks import DataInvalid, Files, Track, has_area

_PICTURE = ".JPEG"
_VID_TRAIN = tuple(f"ILSVRC2015_VID_train_{part:04d}" for part in range(4))
_DET_TRAIN = ("ILSVRC2013_train", *(f"ILSVRC2014_train_{part:04d}" for part in range(7)))
_PUBLISHER = "https://image-net.org/challenges/LSVRC (registration; research only)"


@dataclass(frozen=True, slots=True)
class _Object:
    track: int | None
    category: str
    box: tuple[float, float, float, float]


def _objects(path: Path) -> list[_Object]:
    """The objects of one annotation file; raises DataInvalid naming file and line."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataInvalid(f"{path}: cannot be read: {error.strerror}") from error
    if b"<!" in content:
        raise DataInvalid(f"{path}: holds a document type or a comment, which no file of this set does")
    try:
        tree = ElementTree.fromstring(content)  # noqa: S314 no document type, so no entities
    except ElementTree.ParseError as error:
        raise DataInvalid(f"{path}, line {error.position[0]}: {error}") from error
    return [_object(path, number, element) for number, element in enumerate(tree.iter("object"), 1)]


def _object(path: Path, number: int, element: ElementTree.Element) -> _Object:
    try:
        # By name: the file has xmax before xmin.
        x0, y0, x1, y1 = (float(element.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax"))
        track = element.findtext("trackid")
        return _Object(None if track is None else int(track), element.findtext("name", ""), (x0, y0, x1 - x0, y1 - y0))
    except ValueError as error:
        raise DataInvalid(f"{path}: object {number} has no sound bndbox or trackid: {error}") from error


def _annotations(folder: Path) -> list[str]:
    """The names of the annotation files in a folder, without their ending, in order."""
    names = file_names(folder)
    return sorted(name.removesuffix(".xml") for name in names if name.endswith(".xml") and not name.startswith("."))


def _vid_present(root: Path) -> list[str]:
    return [split for split in ("train", "val") if (root / "Annotations" / "VID" / split).is_dir()]


def _vid_sequences(root: Path, split: str) -> list[str]:
    """Paths below Annotations/VID: train has one level of folders more than val."""
    top = root / "Annotations" / "VID" / split
    if split == "val":
        return [f"val/{path.name}" for path in subfolders(top)]
    return [f"train/{part.name}/{path.name}" for part in subfolders(top) for path in subfolders(part)]


def _vid_tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    """One track for each trackid; frames without it are left out, the frame numbers tell of the gap."""
    truth, folder = root / "Annotations" / "VID" / name, root / "Data" / "VID" / name
    stems = _annotations(truth)
    if strange := [stem for stem in stems if not stem.isdecimal()]:
        raise DataInvalid(f"{truth / strange[0]}.xml: the name is no frame number")
    pictures = Files(folder, tuple(stem + _PICTURE for stem in stems))
    present = file_names(folder)
    if missing := [picture for picture in pictures.names if picture not in present]:
        raise DataInvalid(f"{folder / missing[0]}: is missing ({len(missing)} of {len(stems)} frames are)")
    rows: dict[int, list[int]] = defaultdict(list)
    boxes: dict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    categories: dict[int, str] = {}
    for row, stem in enumerate(stems):
        for found in _objects(truth / f"{stem}.xml"):
            if found.track is None:
                raise DataInvalid(f"{truth / stem}.xml: an object has no trackid")
            rows[found.track].append(row)
            boxes[found.track].append(found.box)
            categories[found.track] = found.category
    video = Path(name).name
    frames = np.array([int(stem) for stem in stems], np.int64)
    for track in sorted(rows):
        numbers, places = np.array(rows[track], np.int64), np.array(boxes[track], np.float64)
        yield Track(
            "ilsvrc_vid",
            f"{video}/{track}",
            f"ilsvrc_vid/{video}",
            categories[track],
            pictures,
            numbers,
            frames[numbers],
            places,
            has_area(places),
        )


def _det_present(root: Path) -> list[str]:
    return [split for split in ("train", "val") if (root / "Annotations" / "DET" / split).is_dir()]


def _det_sequences(root: Path, split: str) -> list[str]:
    return ["val"] if split == "val" else [f"train/{part}" for part in _DET_TRAIN]


def _det_tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    """A still for each object. The folder of 2013 has folders of classes in it, those of 2014 and val are flat."""
    truth, folder = root / "Annotations" / "DET" / name, root / "Data" / "DET" / name
    if not truth.is_dir():
        raise DataInvalid(f"{truth}: is missing")
    stems = _annotations(truth)
    for part in subfolders(truth):
        stems += [f"{part.name}/{stem}" for stem in _annotations(part)]
    pictures = Files(folder, tuple(stem + _PICTURE for stem in stems))
    for number, stem in enumerate(stems):
        for index, found in enumerate(_objects(truth / f"{stem}.xml")):
            yield still("ilsvrc_det", f"{name}/{stem}", index, found.category, pictures, number, found.box)


def still(
    source: str,
    picture: str,
    index: int,
    category: str | None,
    pictures: Files,
    number: int,
    box: tuple[float, float, float, float],
) -> Track:
    """The track of one object in one picture, its `index`-th."""
    boxes = np.array([box], np.float64)
    scene = f"{source}/{picture}"
    return Track(
        source,
        f"{picture}/{index}",
        scene,
        category,
        pictures,
        np.array([number], np.int64),
        np.zeros(1, np.int64),
        boxes,
        has_area(boxes),
    )


def _has(root: Path, part: str) -> bool:
    return (root / "Data" / part).is_dir() and (root / "Annotations" / part).is_dir()


VID = Layout(
    "ilsvrc_vid",
    "ILSVRC2015 VID",
    _PUBLISHER,
    {"train": Split(3862), "val": Split(555)},
    ("train",),
    lambda root: _has(root, "VID"),
    _vid_present,
    _vid_sequences,
    _vid_tracks,
    f"Data/VID/train holds {', '.join(_VID_TRAIN)}",
)
DET = Layout(
    "ilsvrc_det",
    "ILSVRC DET",
    _PUBLISHER,
    {"train": Split(len(_DET_TRAIN)), "val": Split(1)},
    ("train",),
    lambda root: _has(root, "DET"),
    _det_present,
    _det_sequences,
    _det_tracks,
    "a sequence is a folder of pictures; the pictures of 2013 lie in folders of their classes",
)
