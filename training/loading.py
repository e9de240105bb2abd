"""Samples batches in worker processes, for data that must be read and decoded: packs and folders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset

from training.sampling import PairBatch, PairSampler


class _Steps(Dataset[PairBatch]):
    """The batch of each step."""

    def __init__(self, sampler: PairSampler, size: int) -> None:
        self._sampler, self._size = sampler, size

    def __getitem__(self, step: int) -> PairBatch:
        return self._sampler.batch(step, self._size)


def batches(sampler: PairSampler, size: int, steps: range, workers: int) -> Iterator[PairBatch]:
    """The batches of `steps` in order, drawn by so many processes: the same ones whatever their number.

    Each worker opens the packs for itself, read-only. Give the sampler `decoded_bytes` for one worker."""
    return iter(
        DataLoader(
            _Steps(sampler, size),
            batch_size=None,
            sampler=steps,
            num_workers=workers,
            collate_fn=_unchanged,
            worker_init_fn=_one_thread,
            # A fork shares the tables of tracks, gigabytes for large sets, and starts at once.
            multiprocessing_context="fork" if workers else None,
        )
    )


def _unchanged(batch: Any) -> Any:
    return batch


def _one_thread(_worker: int) -> None:
    cv2.setNumThreads(1)
