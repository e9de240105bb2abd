"""Batches for the network: pairs drawn, disturbed and run through what is frozen, one step ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from models.spec import SpecInvalid
from training import loading
from training.augment import Pairs, augment, to_device
from training.distributed import ALONE, Share
from training.frozen import FeatureFunction
from training.published import pysot_colours
from training.recipe import AugmentRecipe, PysotAugment, Recipe, VideoAnalystAugment
from training.sampling import PairBatch, PairSampler


@dataclass(frozen=True, slots=True)
class Batch:
    """What the losses of one part of a step need; see `PairBatch`."""

    template: Tensor
    """Template crops, or what the frozen part of the network makes of them."""
    search: Tensor
    boxes: Tensor
    positive: Tensor
    gaps: Tensor
    numbers: Tensor
    """(B,) int64: every pair of a run has its own, from which its random choices follow."""


class Feeder:
    """A step's batch comes in parts: `accumulate` ones for each process. Every part is a function of the recipe's seed
    and its number, so that a resumed run sees the same ones, and so do several processes and one alone."""

    def __init__(
        self,
        recipe: Recipe,
        sampler: PairSampler,
        features: FeatureFunction,
        device: torch.device,
        share: Share = ALONE,
    ) -> None:
        """Raises SpecInvalid unless the batch can be cut evenly."""
        self._recipe, self._sampler, self._features, self._device = recipe, sampler, features, device
        self._own = recipe.fit.accumulate
        self._first, self._parts = share.rank * self._own, share.world * self._own
        if recipe.fit.batch % self._parts:
            raise SpecInvalid(
                f"fit.batch {recipe.fit.batch} can't be cut into accumulate {self._own} x {share.world} processes"
            )
        self._size = recipe.fit.batch // self._parts

    def pairs(self, step: int, part: int = 0) -> Pairs:
        """The crops of one of this process's parts of a step, as the network sees them."""
        number = self._number(step, part)
        return self._disturbed(number, self._sampler.batch(number, self._size))

    def _number(self, step: int, part: int) -> int:
        return step * self._parts + self._first + part

    def _disturbed(self, number: int, sampled: PairBatch) -> Pairs:
        generator = torch.Generator().manual_seed(self._recipe.fit.seed * 1_000_003 + number)
        pairs = to_device(sampled, self._device)
        match self._recipe.augment:
            case AugmentRecipe() as rule:
                return augment(pairs, rule, generator)
            case PysotAugment() as rule:
                return pysot_colours.disturbed(pairs, rule, generator)
            case VideoAnalystAugment():
                return pairs

    def _step(self, step: int, sampled: Iterator[PairBatch]) -> Sequence[Batch]:
        """The parts of a step, the next ones of `sampled`."""
        return [self._part(self._number(step, part), next(sampled)) for part in range(self._own)]

    def _part(self, number: int, sampled: PairBatch) -> Batch:
        pairs = self._disturbed(number, sampled)
        template, search = self._features(pairs.templates), self._features(pairs.searches)
        numbers = torch.arange(number * self._size, (number + 1) * self._size).to(self._device)
        return Batch(template, search, pairs.boxes, pairs.positive, pairs.gaps, numbers)

    def batches(self, start: int, stop: int) -> Iterator[Sequence[Batch]]:
        """The parts of steps start..stop - 1; the next step's are prepared in a thread while these are in use."""
        numbers = [self._number(step, part) for step in range(start, stop) for part in range(self._own)]
        sampled = loading.batches(self._sampler, self._size, numbers, self._recipe.fit.workers)
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            ahead = worker.submit(self._step, start, sampled)
            for step in range(start, stop):
                batch = ahead.result()
                if step + 1 < stop:
                    ahead = worker.submit(self._step, step + 1, sampled)
                yield batch
