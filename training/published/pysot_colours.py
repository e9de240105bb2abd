"""Colours and blur as in pysot and mmtracking (pysot, datasets/augmentation.py), a batch at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.augment import Dice, Pairs
from training.recipe import PysotAugment, PysotDisturbance

COLOUR_AXES = (
    (4.64467907, 4.73710203, 4.88324118),
    (1.72091413, 0.19879334, -1.82968581),
    (-0.55919361, 0.98062831, -0.41940627),
)
"""The principal axes of ImageNet's colours times their deviations, a row for each of B, G, R."""
BLUR_SIDES = range(5, 46, 2)


class Cross(NamedTuple):
    """Blurs of some crops, (N,) each."""

    sides: Tensor
    """Odd, in pixels."""
    upright: Tensor
    """Share of the upright bar, 0..1."""


def disturbed(pairs: Pairs, rule: PysotAugment, generator: torch.Generator) -> Pairs:
    """Crops as float32, which may leave 0..255. `generator` lives on the CPU, so that every device sees the same."""
    dice = Dice(generator, pairs.boxes.device)
    templates = _disturbed(pairs.templates, rule.template, dice)
    searches = _disturbed(pairs.searches, rule.search, dice)
    return replace(pairs, templates=templates, searches=searches)


def _disturbed(crops: Tensor, rule: PysotDisturbance, dice: Dice) -> Tensor:
    count = len(crops)
    coloured = dice.chance(count, rule.colour)
    crops = recoloured(crops.float(), dice.normal(count, 3) * coloured[:, None])
    rows = dice.chance(count, rule.blur).nonzero().squeeze(1)
    if len(rows) == 0:
        return crops
    sides = BLUR_SIDES.start + BLUR_SIDES.step * (dice.uniform(len(rows)) * len(BLUR_SIDES)).floor()
    result = crops.clone()
    result[rows] = blurred(crops[rows], Cross(sides, dice.uniform(len(rows))))
    return result


def recoloured(crops: Tensor, amounts: Tensor) -> Tensor:
    """Floating crops (B, S, S, 3) less `amounts` (B, 3) of the three axes of colours."""
    axes = crops.new_tensor(COLOUR_AXES)
    return crops - (amounts.to(crops.dtype) @ axes.T)[:, None, None]


def blurred(crops: Tensor, cross: Cross) -> Tensor:
    """Floating crops (N, S, S, 3), each blurred by a cross; they are mirrored at their outermost pixels."""
    margin = BLUR_SIDES[-1] // 2
    place = torch.arange(-margin, margin + 1, device=crops.device).abs()
    bar = (place <= cross.sides[:, None] // 2) / cross.sides[:, None]
    upright, level = (
        (bar * share[:, None]).to(crops.dtype).repeat_interleave(3, 0)[:, None]
        for share in (cross.upright, 1 - cross.upright)
    )
    planes = crops.permute(0, 3, 1, 2).reshape(1, -1, *crops.shape[1:3])
    higher = functional.pad(planes, (0, 0, margin, margin), mode="reflect")
    wider = functional.pad(planes, (margin, margin, 0, 0), mode="reflect")
    down = functional.conv2d(higher, upright[..., None], groups=len(upright))
    across = functional.conv2d(wider, level[:, :, None], groups=len(level))
    return (down + across).reshape(len(crops), 3, *crops.shape[1:3]).permute(0, 2, 3, 1)
