"""Reader of WebDataset tar shards: `<key>.webp` (or jpg, png) then `<key>.json` with its objects."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import Box

IMAGE_SUFFIXES = (".webp", ".jpg", ".jpeg", ".png")


class ShardInvalid(ValueError):
    """A shard breaks the layout; the message names the shard, the member and what is wrong."""


@dataclass(frozen=True, slots=True)
class View:
    """One object in one picture."""

    picture: int
    box: Box


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: a single view of a still, or the views of a track in time order."""

    source: str
    scene: str
    category: str | None
    views: tuple[View, ...]


class Pictures:
    """All pictures of a data set: encoded in memory, decoded on first use and kept, so later epochs are free."""

    def __init__(self) -> None:
        self._encoded: list[bytes] = []
        self._decoded: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._encoded)

    def append(self, encoded: bytes) -> int:
        """Adds an encoded picture and returns its number."""
        self._encoded.append(encoded)
        return len(self._encoded) - 1

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR; raises ShardInvalid if it can't be decoded."""
        if (picture := self._decoded.get(number)) is None:
            decoded = cv2.imdecode(np.frombuffer(self._encoded[number], np.uint8), cv2.IMREAD_COLOR)
            if decoded is None:
                raise ShardInvalid(f"picture {number} can't be decoded")
            picture = self._decoded[number] = np.asarray(decoded, np.uint8)
        return picture


@dataclass(frozen=True, slots=True)
class DataSet:
    """Tracks and stills with their pictures."""

    pictures: Pictures
    tracks: tuple[Thing, ...]
    stills: tuple[Thing, ...]


def read_shards(folder: Path, min_side: float) -> DataSet:
    """Reads every `*.tar` of `folder`; views with a side under `min_side` pixels are left out.

    Raises ShardInvalid for a broken member and FileNotFoundError if there is no shard."""
    shards = sorted(folder.glob("*.tar"))
    if not shards:
        raise FileNotFoundError(f"{folder} holds no *.tar shards")
    pictures = Pictures()
    tracks: dict[tuple[str, str, int], list[View]] = defaultdict(list)
    scenes: dict[tuple[str, str, int], tuple[str, str | None]] = {}
    stills: list[Thing] = []
    for shard in shards:
        for encoded, description in _members(shard):
            picture = pictures.append(encoded)
            for found in description["objects"]:
                box = Box(*map(float, found["box"]))
                if min(box.w, box.h) < min_side:
                    continue
                source, view = str(description["source"]), View(picture, box)
                if description["kind"] == "still" or found["track"] is None:
                    stills.append(Thing(source, f"{source}/{picture}", found["class"], (view,)))
                    continue
                key = (source, str(description["video"]), int(found["track"]))
                scenes[key] = (f"{source}/{description.get('source_video') or description['video']}", found["class"])
                tracks[key].append(view)
    things = (Thing(key[0], *scenes[key], tuple(views)) for key, views in tracks.items() if len(views) > 1)
    return DataSet(pictures, tuple(things), tuple(stills))


def _members(shard: Path) -> Iterable[tuple[bytes, Mapping[str, Any]]]:
    with tarfile.open(shard) as tar:
        image: tuple[str, bytes] | None = None
        for member in tar:
            content = tar.extractfile(member)
            if content is None:
                continue
            key, suffix = Path(member.name).stem, Path(member.name).suffix
            if suffix in IMAGE_SUFFIXES:
                image = (key, content.read())
            elif suffix == ".json":
                if image is None or image[0] != key:
                    raise ShardInvalid(f"{shard.name}: {member.name} does not follow its picture")
                yield image[1], _description(shard, member.name, content.read())


def _description(shard: Path, name: str, text: bytes) -> Mapping[str, Any]:
    try:
        description: Mapping[str, Any] = json.loads(text)
    except json.JSONDecodeError as error:
        raise ShardInvalid(f"{shard.name}: {name}: {error}") from error
    if missing := {"source", "kind", "video", "objects"} - set(description):
        raise ShardInvalid(f"{shard.name}: {name} lacks {sorted(missing)[0]!r}")
    return description
