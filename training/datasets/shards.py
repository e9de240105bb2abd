"""WebDataset tar shards: `<key>.webp` (or jpg, png) then `<key>.json` with its objects."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.layout import Layout, Split
from training.datasets.tracks import PICTURE_SUFFIXES, DataInvalid, Track, has_area

_Key = tuple[str, str, int]
"""Repository, video, track."""
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Members:
    """Pictures that are members of one uncompressed tar file: byte ranges of it."""

    shard: Path
    keys: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    """Offset and size of each."""

    def __len__(self) -> int:
        """How many pictures."""
        return len(self.keys)

    def name(self, number: int) -> str:
        """Shard and member."""
        return f"{self.shard}: {self.keys[number]}"

    def encoded(self, number: int) -> bytes:
        """The member's bytes."""
        offset, size = self.spans[number]
        try:
            with self.shard.open("rb") as file:
                file.seek(offset)
                return file.read(size)
        except OSError as error:
            raise DataInvalid(f"{self.shard}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class _Row:
    """One object of one picture."""

    picture: int
    frame: int
    box: tuple[float, ...]
    scene: str
    category: str | None


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    """The tracks of a shard in the order of their first frames, each still where its picture stands.

    Tracks of one frame are left out: they are the rest of a video whose other frames were dropped."""
    members, descriptions = _members(root / name)
    videos: dict[_Key, list[_Row]] = defaultdict(list)
    for picture, description in enumerate(descriptions):
        source, frame = str(description["source"]), int(description.get("frame") or 0)
        for index, found in enumerate(description["objects"]):
            box = tuple(map(float, found["box"]))
            if description["kind"] == "still" or found["track"] is None:
                scene = f"{source}/{name}/{members.keys[picture]}"
                row = _Row(picture, frame, box, scene, found["class"])
                yield _track(source, f"{scene}/{index}", members, [row])
                continue
            scene = f"{source}/{description.get('source_video') or description['video']}"
            key = (source, str(description["video"]), int(found["track"]))
            videos[key].append(_Row(picture, frame, box, scene, found["class"]))
    for (source, video, track), rows in videos.items():
        if len(rows) > 1:
            yield _track(source, f"{source}/{video}/{track}", members, rows)


def _track(source: str, name: str, members: Members, rows: list[_Row]) -> Track:
    boxes = np.array([row.box for row in rows], np.float64)
    numbers, frames = (np.array(column, np.int64) for column in zip(*((r.picture, r.frame) for r in rows), strict=True))
    return Track(source, name, rows[-1].scene, rows[-1].category, members, numbers, frames, boxes, has_area(boxes))


def _members(shard: Path) -> tuple[Members, list[Mapping[str, Any]]]:
    """The pictures of a shard and the description of each."""
    keys: list[str] = []
    spans: list[tuple[int, int]] = []
    descriptions: list[Mapping[str, Any]] = []
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                key, suffix = Path(member.name).stem, Path(member.name).suffix
                if suffix in PICTURE_SUFFIXES:
                    # A picture without a description after it gives way to the next one.
                    del keys[len(descriptions) :], spans[len(descriptions) :]
                    keys.append(key)
                    spans.append((member.offset_data, member.size))
                elif suffix == ".json" and (content := tar.extractfile(member)) is not None:
                    if len(keys) != len(descriptions) + 1 or keys[-1] != key:
                        raise DataInvalid(f"{shard}: {member.name} does not follow its picture")
                    descriptions.append(_description(f"{shard}: {member.name}", content.read()))
            _require_end(shard, tar.offset)
    except tarfile.TarError as error:
        raise DataInvalid(f"{shard}: is no uncompressed tar file, or not a whole one: {error}") from error
    return Members(shard, tuple(keys[: len(descriptions)]), tuple(spans[: len(descriptions)])), descriptions


def _require_end(shard: Path, offset: int) -> None:
    """Raises DataInvalid unless the archive ends at this byte: tarfile takes a header that is none for its end.

    An archive ends with blocks of zeros, to the end of the file."""
    size = shard.stat().st_size
    with shard.open("rb") as file:
        file.seek(offset)
        zeros = size >= offset + tarfile.BLOCKSIZE
        while zeros and (part := file.read(_READ_BYTES)):
            zeros = not any(part)
    if not zeros:
        raise DataInvalid(f"{shard}: ends at byte {offset} of {size}: what follows is damaged or missing")


def _description(where: str, text: bytes) -> Mapping[str, Any]:
    try:
        description: Any = json.loads(text)
    except ValueError as error:  # no JSON, or no text
        raise DataInvalid(f"{where}: {error}") from error
    if not isinstance(description, dict):
        raise DataInvalid(f"{where}: expected an object, got {description!r}")
    if missing := {"source", "kind", "video", "objects"} - set(description):
        raise DataInvalid(f"{where} lacks {sorted(missing)[0]!r}")
    _require(where, "frame", description.get("frame"), int, type(None))
    _require(where, "objects", description["objects"], list)
    needed = {"class", "box"} if description["kind"] == "still" else {"track", "class", "box"}
    for number, found in enumerate(description["objects"]):
        _require_object(f"{where}: objects[{number}]", found, needed)
    return description


def _require_object(where: str, found: Any, needed: set[str]) -> None:
    """Raises DataInvalid unless it has track, class and box of their types."""
    if type(found) is not dict:
        raise DataInvalid(f"{where}: expected an object, got {found!r}")
    if missing := needed - set(found):
        raise DataInvalid(f"{where} lacks {sorted(missing)[0]!r}")
    _require(where, "track", found.get("track"), int, type(None))
    _require(where, "class", found["class"], str, type(None))
    _require(where, "box", found["box"], list)
    if len(found["box"]) != 4 or not all(type(value) in (int, float) and isfinite(value) for value in found["box"]):
        raise DataInvalid(f"{where}: box: expected x, y, w, h in pixels, got {found['box']!r}")


def _require(where: str, name: str, value: object, *kinds: type) -> None:
    if type(value) not in kinds:
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise DataInvalid(f"{where}: {name}: expected {wanted}, got {value!r}")


def _shards(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("*.tar"))


def _matches(root: Path) -> bool:
    """Whether there is a tar file whose first member is a picture: archives of other sets begin with a folder."""
    names = _shards(root)
    if not names:
        return False
    try:
        with tarfile.open(root / names[0], "r:") as tar:
            first = tar.next()
    except (OSError, tarfile.TarError):
        return False
    return first is not None and Path(first.name).suffix in PICTURE_SUFFIXES | {".json"}


LAYOUT = Layout(
    "shards",
    "tar shards (WebDataset)",
    "yourself; docs/training.md has the format",
    {"all": Split()},
    ("all",),
    _matches,
    lambda root: ["all"] if _matches(root) else [],
    lambda root, split: _shards(root),
    _tracks,
)
