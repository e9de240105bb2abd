"""Cuts the crops of many tracks with many processes, in order and with a bounded number under way."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np

from training.datasets.tracks import DataInvalid, Pictures, Track, decoded
from training.packs.crops import CropRule, encoded_crop
from training.workers import follow_parent

JOB_VIEWS = 64
"""A job has at least as many crops, if so many are left; a long track is cut in parts of so many."""
_UNDER_WAY = 3
"""Jobs for each process, so that none waits while the finished ones are written."""

Crop = bytes | str
"""A JPEG, or why there is none."""


@dataclass(frozen=True, slots=True)
class Part:
    """Frames of a track that are cut in one go."""

    ordinal: int
    """Of the track, among all that were read."""
    track: Track
    last: bool
    """Whether the track ends with them."""


def parts_of(tracks: Iterable[tuple[int, Track]], rule: CropRule) -> Iterator[Part]:
    """The tracks, numbered, without the frames that are left out. A track that is never seen has no part."""
    for ordinal, track in tracks:
        if (seen := track.seen(rule.min_side)) is None:
            continue
        rows = np.arange(0, len(seen), rule.every)
        for start in range(0, len(rows), JOB_VIEWS):
            yield Part(ordinal, seen.taken(rows[start : start + JOB_VIEWS]), start + JOB_VIEWS >= len(rows))


def cut(parts: Iterator[Part], rule: CropRule, processes: int) -> Iterator[tuple[Part, list[Crop]]]:
    """Each part with its crops, in order."""
    jobs = _jobs(parts)
    if processes == 1:
        for job in jobs:
            yield from zip(job, crops_of(job, rule), strict=True)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, initializer=_begin) as pool:
        under_way: deque[tuple[list[Part], Future[list[list[Crop]]]]] = deque()

        def submit(count: int) -> None:
            under_way.extend((job, pool.submit(crops_of, job, rule)) for job in islice(jobs, count))

        submit(_UNDER_WAY * processes)
        while under_way:
            job, future = under_way.popleft()
            crops = future.result()
            submit(1)
            yield from zip(job, crops, strict=True)


def _begin() -> None:
    """Prepares a worker: one thread for OpenCV, and an end with the parent."""
    cv2.setNumThreads(1)
    follow_parent()


def _jobs(parts: Iterator[Part]) -> Iterator[list[Part]]:
    job: list[Part] = []
    views = 0
    for part in parts:
        job.append(part)
        views += len(part.track)
        if views >= JOB_VIEWS:
            yield job
            job, views = [], 0
    if job:
        yield job


def crops_of(parts: Sequence[Part], rule: CropRule) -> list[list[Crop]]:
    """The crops of some parts."""
    frames = _LastFrame()
    return [[_crop(frames, part.track, row, rule) for row in range(len(part.track))] for part in parts]


def _crop(frames: _LastFrame, track: Track, row: int, rule: CropRule) -> Crop:
    view = track.views[row]
    try:
        return encoded_crop(frames.get(view.pictures, view.picture), view.box, rule)
    except DataInvalid as error:
        return str(error)


class _LastFrame:
    """Decodes a picture once if it is asked for again at once, for its other objects."""

    def __init__(self) -> None:
        self._name = ""
        self._frame = np.empty((0, 0, 3), np.uint8)

    def get(self, pictures: Pictures, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        """(H, W, 3) uint8 BGR; raises DataInvalid."""
        if (name := pictures.name(number)) != self._name:
            self._name = ""
            self._frame = decoded(pictures, number)
            self._name = name
        return self._frame
