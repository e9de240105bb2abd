"""Samples batches in worker processes, for data that must be read and decoded: packs and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset

from training.sampling import PairBatch, PairSampler


class _Batches(Dataset[PairBatch]):
    """The batch of each number."""

    def __init__(self, sampler: PairSampler, size: int) -> None:
        self._sampler, self._size = sampler, size

    def __getitem__(self, number: int) -> PairBatch:
        return self._sampler.batch(number, self._size)


def batches(sampler: PairSampler, size: int, numbers: Sequence[int], workers: int) -> Iterator[PairBatch]:
    """The batches of these numbers in order, drawn by so many processes: the same ones whatever their number.

    Each worker opens the packs for itself, read-only. Give the sampler `decoded_bytes` for one worker. OpenCV has one
    thread from here on, in this process as in the workers."""
    # Before the fork: a worker that inherited OpenCV's pool would wait for ever for its threads, which no fork copies.
    cv2.setNumThreads(1)
    return iter(
        DataLoader(
            _Batches(sampler, size),
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            collate_fn=_unchanged,
            # A fork shares the tables of tracks, gigabytes for large sets, and starts at once.
            multiprocessing_context="fork" if workers else None,
        )
    )


def _unchanged(batch: Any) -> Any:
    return batch
