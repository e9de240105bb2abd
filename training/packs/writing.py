"""Makes a pack of tracks: crops, then the index, then the manifest, which says that the pack is whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from training.datasets.tracks import DataInvalid, Track
from training.packs.crops import CropRule, cropped
from training.packs.cutting import cut, parts_of
from training.packs.reading import CROPS, FORMAT, INDEX, MANIFEST, NAMES, file_sha256
from training.packs.store import PackExists, Record, Store


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    tracks: int
    views: int


def write_pack(
    tracks: Iterable[Track],
    out: Path,
    rule: CropRule,
    origin: Sequence[str],
    *,
    processes: int = 1,
    report: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, Any]:
    """Packs `tracks` into the folder `out`; returns the manifest.

    A run that was stopped at any moment goes on where it was, if it is called with the same tracks; the result is the
    same, byte for byte in the index. origin: which data this is, to tell whether it is the same. Pictures that are
    missing or broken are left out and listed in the manifest. Raises PackExists and DataInvalid."""
    if (out / MANIFEST).exists():
        raise PackExists(f"{out}: holds a finished pack; choose another folder, or delete it")
    out.mkdir(parents=True, exist_ok=True)
    settings = {"rule": asdict(rule), "origin": list(origin)}
    whole = replace(rule, every=1)  # the parts hold every so many-th frame already
    with Store(out / CROPS, settings) as store:
        for part, crops in cut(parts_of(store.after_done(tracks), rule), rule, processes):
            store.add(part.ordinal, cropped(part.track, whole), crops, last=part.last)
            report(Progress(len(store.records), store.views))
        store.commit()
        if store.views == 0:
            raise DataInvalid(f"{out}: there is nothing to pack: no target of {rule.min_side} pixels or more")
        return _finish(out, store.records, settings)


def _finish(out: Path, everything: list[Record], settings: dict[str, Any]) -> dict[str, Any]:
    """Writes index, names and manifest."""
    records = [record for record in everything if record.frames]
    np.savez(
        out / INDEX,
        starts=np.cumsum([0, *(len(record.frames) for record in records)]),
        frames=np.concatenate([np.array(record.frames, np.int64) for record in records]),
        boxes=np.concatenate([np.array(record.boxes, np.float64) for record in records]),
        digests=np.concatenate([np.array(record.digests, np.uint64) for record in records]),
    )
    facts = ({key: getattr(record, key) for key in ("source", "name", "scene", "category")} for record in records)
    (out / NAMES).write_text("".join(json.dumps(fact) + "\n" for fact in facts), encoding="utf-8")
    manifest = {
        "format": FORMAT,
        **settings,
        "tracks": sum(len(record.frames) > 1 for record in records),
        "stills": sum(len(record.frames) == 1 for record in records),
        "crops": sum(len(record.frames) for record in records),
        "bytes": sum(record.data_bytes for record in records),
        "sources": dict(Counter(record.source for record in records)),
        "left_out": [reason for record in everything for reason in record.left_out],
        "sha256": {name: file_sha256(out / name) for name in (INDEX, NAMES)},
    }
    # Last and at once: a manifest is there if and only if the pack is whole.
    written = out / f"{MANIFEST}.new"
    written.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    written.replace(out / MANIFEST)
    return manifest
