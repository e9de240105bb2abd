"""Reads a pack: its manifest and index once, its crops when they are asked for, read-only."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
from numpy.typing import NDArray

from training.datasets.tracks import DataInvalid, Track

FORMAT = "lockon-pack-1"
MANIFEST, INDEX, NAMES, CROPS = "manifest.json", "index.npz", "tracks.jsonl", "crops.lmdb"
_KEYS = ("tracks", "stills", "crops", "sha256")
"""What readers need of the manifest."""

_environments: dict[tuple[int, Path], lmdb.Environment] = {}
"""Open files by process and path: LMDB wants each file opened once in a process, and never one that a fork brought."""


def is_pack(root: Path) -> bool:
    """Whether the folder holds a pack, finished or not."""
    return (root / CROPS).is_file()


def view_key(number: int) -> bytes:
    """The key of a crop."""
    return b"v%012d" % number


def environment(pack: Path) -> lmdb.Environment:
    """This process's read-only environment of the pack's crops."""
    key = (os.getpid(), pack.resolve())
    if key not in _environments:
        _environments[key] = opened(pack / CROPS, readonly=True, lock=False, readahead=False, max_readers=1)
    return _environments[key]


def opened(path: Path, **options: Any) -> lmdb.Environment:
    """An environment that is one file; raises DataInvalid if it is none, or not a whole one."""
    try:
        found = lmdb.open(str(path), subdir=False, **options)
    except lmdb.Error as error:
        raise DataInvalid(f"{path}: cannot be opened: {error}") from error
    # The file is mapped: to touch a page that it should have and has not would kill the process (SIGBUS).
    size, expected = path.stat().st_size, (found.info()["last_pgno"] + 1) * found.stat()["psize"]
    if size < expected:
        found.close()
        raise DataInvalid(f"{path}: is cut short: {size} of {expected} bytes")
    return found


@dataclass(frozen=True, slots=True)
class PackedPictures:
    """The crops of a pack as pictures. Copied to another process it opens the file anew there."""

    pack: Path
    count: int

    def __len__(self) -> int:
        """How many crops."""
        return self.count

    def name(self, number: int) -> str:
        """Pack and number."""
        return f"{self.pack}: crop {number}"

    def encoded(self, number: int) -> bytes:
        """The JPEG."""
        try:
            with environment(self.pack).begin(buffers=False) as transaction:
                content: bytes | None = transaction.get(view_key(number))
        except lmdb.Error as error:
            raise DataInvalid(f"{self.name(number)} cannot be read: {error}") from error
        if content is None:
            raise DataInvalid(f"{self.name(number)} is missing; run `lockon data verify {self.pack}`")
        return content


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """Where each track's crops lie, and what is in them; V crops of T tracks."""

    starts: NDArray[np.int64]
    """(T + 1,) first crop of each track, and V."""
    frames: NDArray[np.int64]
    """(V,)"""
    boxes: NDArray[np.float64]
    """(V, 4) in pixels of the crop."""
    digests: NDArray[np.uint64]
    """(V,) see `digest`."""
    tracks: list[dict[str, Any]]
    """Source, name, scene and category of each."""


def digest(content: bytes) -> int:
    """Eight bytes of BLAKE2b: enough to find a damaged crop."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def read_manifest(pack: Path) -> dict[str, Any]:
    """The manifest; raises DataInvalid where there is none yet, or not of this format."""
    path = pack / MANIFEST
    if not path.is_file():
        state = "is not finished: run the same `lockon data pack` again" if is_pack(pack) else "is no pack"
        raise DataInvalid(f"{pack}: {state}")
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataInvalid(f"{path}: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataInvalid(f"{path}: the format is not {FORMAT}")
    if missing := [key for key in _KEYS if key not in manifest]:
        raise DataInvalid(f"{path}: lacks {missing[0]!r}")
    if not isinstance(manifest["sha256"], dict) or not manifest["sha256"].keys() >= {INDEX, NAMES}:
        raise DataInvalid(f"{path}: sha256 must have {INDEX} and {NAMES}, got {manifest['sha256']!r}")
    return manifest


def read_index(pack: Path) -> Index:
    """The index of a finished pack; raises DataInvalid if it is not the one that the manifest names."""
    manifest = read_manifest(pack)
    for name in (INDEX, NAMES):
        if file_sha256(pack / name) != manifest["sha256"][name]:
            raise DataInvalid(f"{pack / name}: is not the file that {MANIFEST} names (sha256)")
    with np.load(pack / INDEX) as arrays:
        table = {key: arrays[key] for key in ("starts", "frames", "boxes", "digests")}
    names = (pack / NAMES).read_text(encoding="utf-8").splitlines()
    return Index(**table, tracks=[json.loads(line) for line in names])


def read_pack(pack: Path) -> list[Track]:
    """The tracks of a finished pack, in the order in which they were packed."""
    index = read_index(pack)
    pictures = PackedPictures(pack, len(index.frames))
    tracks = []
    for number, facts in enumerate(index.tracks):
        first, end = index.starts[number : number + 2].tolist()
        tracks.append(
            Track(
                **facts,
                pictures=pictures,
                numbers=np.arange(first, end),
                frames=index.frames[first:end],
                boxes=index.boxes[first:end],
                visible=np.ones(end - first, np.bool_),
            )
        )
    return tracks


def file_sha256(path: Path) -> str:
    """The file's SHA-256; raises DataInvalid if it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataInvalid(f"{path}: cannot be read: {error.strerror}") from error
