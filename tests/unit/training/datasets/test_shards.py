"""Tar shards: what is damaged or missing is an error that names the shard and the place, and never the end of it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED
from training.datasets.shards import LAYOUT
from training.datasets.tracks import DataInvalid, Track

STILL = {"source": "x/y", "kind": "still", "video": None, "frame": None}


def read(shard: Path) -> list[Track]:
    return list(LAYOUT.tracks(shard.parent, "all", shard.name))


def member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def shard_of(path: Path, *descriptions: object) -> Path:
    """A shard of these descriptions; nobody looks at its pictures."""
    with tarfile.open(path, "w") as tar:
        for number, description in enumerate(descriptions):
            member(tar, f"{number}.jpg", bytes(700))
            member(tar, f"{number}.json", json.dumps(description).encode())
    return path


def still(**changes: object) -> dict[str, Any]:
    return {**STILL, "objects": [{"track": None, "class": "patch", "box": [1, 2, 30, 40]} | changes]}


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """Four stills, eight members."""
    return shard_of(tmp_path / "train-0000.tar", *[still()] * 4)


def header_of(shard: Path, number: int) -> int:
    with tarfile.open(shard) as tar:
        return tar.getmembers()[number].offset


def test_a_whole_shard_is_read(shard: Path) -> None:
    assert len(read(shard)) == 4


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content, at: content[: at + 10] + b"?" + content[at + 11 :],
        lambda content, at: content[:at] + bytes(tarfile.BLOCKSIZE) + content[at + tarfile.BLOCKSIZE :],
        lambda content, at: content[:at],
        lambda content, at: content[: at + 100],
    ],
    ids=["a broken header", "a header of zeros", "cut before a header", "cut in a header"],
)
def test_a_shard_ends_with_zeros_to_the_end_of_the_file(shard: Path, damaged: Callable[[bytes, int], bytes]) -> None:
    at = header_of(shard, 4)
    content = damaged(shard.read_bytes(), at)
    shard.write_bytes(content)
    with pytest.raises(DataInvalid, match=rf"train-0000\.tar: ends at byte {at} of {len(content)}"):
        read(shard)


def test_a_shard_that_is_cut_in_a_member_is_not_whole(shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[: header_of(shard, 4) + tarfile.BLOCKSIZE + 100])
    with pytest.raises(DataInvalid, match=r"train-0000\.tar: is no uncompressed tar file, or not a whole one"):
        read(shard)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (STILL, "lacks 'objects'"),
        ([], "expected an object"),
        (STILL | {"objects": {}}, "objects: expected list, got {}"),
        (STILL | {"objects": [7]}, r"objects\[0\]: expected an object, got 7"),
        (STILL | {"objects": [{"box": [1, 2, 3, 4]}]}, r"objects\[0\] lacks 'class'"),
        (STILL | {"objects": [{"class": None}]}, r"objects\[0\] lacks 'box'"),
        (still() | {"kind": "track", "objects": [{"class": None, "box": [1, 2, 3, 4]}]}, r"objects\[0\] lacks 'track'"),
        (still(track="one"), r"objects\[0\]: track: expected int or null, got 'one'"),
        (still(**{"class": 3}), r"objects\[0\]: class: expected str or null, got 3"),
        (still(box=[1, 2, 3]), r"objects\[0\]: box: expected x, y, w, h in pixels, got \[1, 2, 3\]"),
        (still(box=[1, 2, 3, "x"]), r"objects\[0\]: box: expected x, y, w, h"),
        (still(box=[1, 2, 3, float("nan")]), r"objects\[0\]: box: expected x, y, w, h"),
        (still(box="1 2 3 4"), r"objects\[0\]: box: expected list"),
        (still() | {"frame": "x"}, "frame: expected int or null, got 'x'"),
    ],
)
def test_a_description_that_breaks_the_format_names_member_and_field(
    description: object, message: str, tmp_path: Path
) -> None:
    shard = shard_of(tmp_path / "train-0000.tar", still(), description)
    with pytest.raises(DataInvalid, match=rf"train-0000\.tar: 1\.json:? ?{message}"):
        read(shard)


@pytest.mark.shared
def test_the_shards_that_the_shipped_models_learned_from_are_whole() -> None:
    root = SHARED / "data" / "train"
    assert sum(1 for name in LAYOUT.sequences(root, "all") for _ in LAYOUT.tracks(root, "all", name)) == 17_528
