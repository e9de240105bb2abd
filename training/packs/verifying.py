"""Checks a pack: every crop against its digest, the index against the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np

from training.packs.reading import digest, environment, read_index, read_manifest, view_key


def verify_pack(pack: Path, report: Callable[[int, int], None] = lambda done, total: None) -> list[str]:
    """What is wrong with the crops of a pack, one line each; nothing if it is whole.

    report: called with the number of crops that are checked and of all. Raises DataInvalid if there is no finished pack
    or if its index is damaged or its crops are cut short."""
    manifest, index = read_manifest(pack), read_index(pack)
    faults = [
        f"{key}: the manifest says {manifest[key]}, the index {found}"
        for key, found in _counts(index.starts).items()
        if manifest[key] != found
    ]
    total = len(index.frames)
    with environment(pack).begin(buffers=True) as transaction:
        for number in range(total):
            if fault := _fault(transaction, number, int(index.digests[number])):
                faults.append(f"crop {number} {fault}")
            if number % 1000 == 0:
                report(number, total)
    report(total, total)
    return faults


def _fault(transaction: lmdb.Transaction, number: int, expected: int) -> str:
    """What is wrong with a crop; empty: nothing."""
    try:
        content = transaction.get(view_key(number))
    except lmdb.Error as error:
        return f"cannot be read: {error}"
    if content is None:
        return "is missing"
    return "" if digest(bytes(content)) == expected else "is damaged"


def _counts(starts: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> dict[str, int]:
    lengths = np.diff(starts)
    return {"tracks": int((lengths > 1).sum()), "stills": int((lengths == 1).sum()), "crops": int(starts[-1])}
