"""The LMDB file of a pack while it is made: crops by number, a record for each finished track, and the settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import lmdb
import orjson

from training.datasets.tracks import Track
from training.packs.reading import digest, opened, view_key

COMMIT_BYTES = 8 << 20
"""Written at once; as much work is lost by a kill."""
_FIRST_MAP_BYTES = 1 << 30
_SETTINGS, _TRACK = b"settings", b"t"


class PackExists(ValueError):
    """The folder holds a finished pack, or the beginning of another one."""


@dataclass(slots=True)
class Record:
    """A track's crops, so far or all of them."""

    ordinal: int
    source: str
    name: str
    scene: str
    category: str | None
    frames: list[int] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    digests: list[int] = field(default_factory=list)
    data_bytes: int = 0
    left_out: list[str] = field(default_factory=list)
    """Why pictures are missing."""


class Store:
    """The file, to be written by one process."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._path = path
        size = path.stat().st_size if path.exists() else 0
        self._environment = opened(path, map_size=max(_FIRST_MAP_BYTES, 2 * size))
        self._pending: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0
        self._open: Record | None = None
        self.records: list[Record] = []
        """The finished tracks, in order."""
        self._restore(settings)
        self.views = sum(len(record.frames) for record in self.records)
        """Crops that are stored."""

    def __enter__(self) -> Self:
        """The file is open already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file. What was not committed is lost, as after a kill."""
        self._environment.close()

    def _restore(self, settings: dict[str, Any]) -> None:
        with self._environment.begin() as transaction:
            found = transaction.get(_SETTINGS)
            cursor = transaction.cursor()
            if cursor.set_range(_TRACK):
                for key, value in cursor:
                    if not key.startswith(_TRACK):
                        break
                    self.records.append(Record(**orjson.loads(value)))
        if found is None:
            self._put(_SETTINGS, orjson.dumps(settings))
        elif orjson.loads(found) != settings:
            raise PackExists(f"{self._path.parent}: holds the beginning of another pack, {found.decode()}")

    def after_done(self, tracks: Iterable[Track]) -> Iterator[tuple[int, Track]]:
        """The tracks, numbered, that an earlier run has not finished. Raises PackExists if the others are not the
        same as then."""
        done, count = self.records[-1].ordinal if self.records else -1, 0
        for ordinal, track in enumerate(tracks):
            if ordinal > done:
                yield ordinal, track
            elif ordinal == done and track.name != self.records[-1].name:
                raise PackExists(
                    f"{self._path.parent}: the data changed since: track {ordinal} was {self.records[-1].name!r}, "
                    f"now it is {track.name!r}"
                )
            count = ordinal + 1
        if count <= done:
            raise PackExists(
                f"{self._path.parent}: the data changed since: track {done} was {self.records[-1].name!r}, "
                f"now there are {count} tracks"
            )

    def add(self, ordinal: int, track: Track, crops: list[bytes | str], *, last: bool) -> None:
        """Stores crops of a track, whose boxes are those of the crops; a text says why there is none.

        last: the track ends with them."""
        record = self._open or Record(ordinal, track.source, track.name, track.scene, track.category)
        assert record.ordinal == ordinal, "parts of a track follow each other"
        for row, crop in enumerate(crops):
            if isinstance(crop, str):
                record.left_out.append(crop)
                continue
            record.frames.append(int(track.frames[row]))
            record.boxes.append(track.boxes[row].tolist())
            record.digests.append(digest(crop))
            record.data_bytes += len(crop)
            self._put(view_key(self.views), crop)
            self.views += 1
        self._open = None if last else record
        if last:
            self._put(b"%s%012d" % (_TRACK, ordinal), orjson.dumps(asdict(record)))
            self.records.append(record)
        if self._pending_bytes >= COMMIT_BYTES:
            self.commit()

    def _put(self, key: bytes, value: bytes) -> None:
        self._pending.append((key, value))
        self._pending_bytes += len(value)

    def commit(self) -> None:
        """Writes what is pending, all of it or nothing."""
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    for key, value in self._pending:
                        transaction.put(key, value)
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])
            else:
                break
        self._pending, self._pending_bytes = [], 0
