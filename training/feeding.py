"""Batches for the network: pairs drawn, disturbed and run through the frozen shallow half, one step ahead."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import torch
from torch import Tensor

from training import loading
from training.augment import Pairs, augment, to_device
from training.frozen import FeatureFunction
from training.recipe import Recipe
from training.sampling import PairBatch, PairSampler


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step needs: shallow features of both crops, and the truth (see `PairBatch`)."""

    template: Tensor
    search: Tensor
    boxes: Tensor
    positive: Tensor

    def parts(self, count: int) -> Iterator[Batch]:
        """The batch cut into `count` parts of the same size."""
        tensors = (self.template, self.search, self.boxes, self.positive)
        return (Batch(*part) for part in zip(*(tensor.chunk(count) for tensor in tensors), strict=True))


class Feeder:
    """Every batch is a function of the recipe's seed and the step, so that a resumed run sees the same ones."""

    def __init__(self, recipe: Recipe, sampler: PairSampler, shallow: FeatureFunction, device: torch.device) -> None:
        self._recipe, self._sampler, self._shallow, self._device = recipe, sampler, shallow, device

    def pairs(self, step: int) -> Pairs:
        """The crops of a step as the network sees them."""
        return self._disturbed(step, self._sampler.batch(step, self._recipe.fit.batch))

    def _disturbed(self, step: int, sampled: PairBatch) -> Pairs:
        generator = torch.Generator().manual_seed(self._recipe.fit.seed * 1_000_003 + step)
        return augment(to_device(sampled, self._device), self._recipe.augment, generator)

    def _batch(self, step: int, sampled: Iterator[PairBatch]) -> Batch:
        """The batch of a step, the next one of `sampled`."""
        pairs = self._disturbed(step, next(sampled))
        template, search = (
            self._shallow(crops).contiguous(memory_format=torch.channels_last)
            for crops in (pairs.templates, pairs.searches)
        )
        return Batch(template, search, pairs.boxes, pairs.positive)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """The batches of steps start..stop - 1; the next one is prepared in a thread while one is in use."""
        cv2.setNumThreads(1)
        sampled = loading.batches(self._sampler, self._recipe.fit.batch, range(start, stop), self._recipe.fit.workers)
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            ahead = worker.submit(self._batch, start, sampled)
            for step in range(start, stop):
                batch = ahead.result()
                if step + 1 < stop:
                    ahead = worker.submit(self._batch, step + 1, sampled)
                yield batch
