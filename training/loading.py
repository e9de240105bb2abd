"""Samples batches in worker processes, for data that must be read and decoded: packs and folders."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
from torch.utils.data import DataLoader, Dataset

from training.sampling import PairBatch, PairSampler
from training.workers import follow_parent


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
            worker_init_fn=_begin if workers else None,
            # A fork shares the tables of tracks, gigabytes for large sets, and starts at once.
            multiprocessing_context="fork" if workers else None,
        )
    )


def _begin(worker: int) -> None:
    """Prepares a worker: the run alone answers SIGTERM and SIGINT, and its workers end with it.

    A terminal or a scheduler sends these to all processes of a run, which needs its workers until its last step is
    done."""
    # Here and not before the fork: torch sets a handler of its own in each worker just before it calls this.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    # torch's loop looks now and then whether the parent lives, but then waits for batches that nobody takes any more.
    follow_parent()


def _unchanged(batch: Any) -> Any:
    return batch
