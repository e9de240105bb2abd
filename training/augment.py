"""Disturbs a whole batch of crops with torch, the same code on CPU and GPU: flip, colour, grey, blur, noise, paste."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.recipe import AugmentRecipe
from training.sampling import PairBatch

LUMA = (0.114, 0.587, 0.299)  # of B, G, R (ITU-R BT.601)
BLUR_KERNEL = 9


@dataclass(frozen=True, slots=True)
class Pairs:
    """A batch of pairs on the training device; see `PairBatch`. Crops are uint8, or float 0..255 while disturbed."""

    templates: Tensor
    searches: Tensor
    boxes: Tensor
    positive: Tensor
    gaps: Tensor


def to_device(batch: PairBatch, device: torch.device) -> Pairs:
    """Moves a sampled batch to the device."""
    return Pairs(
        torch.from_numpy(batch.templates).to(device),
        torch.from_numpy(batch.searches).to(device),
        torch.from_numpy(batch.boxes).to(device),
        torch.from_numpy(batch.positive).to(device),
        torch.from_numpy(batch.gaps).to(device),
    )


def augment(pairs: Pairs, recipe: AugmentRecipe, generator: torch.Generator) -> Pairs:
    """A disturbed copy. `generator` lives on the CPU, so that every device sees the same choices."""
    dice = Dice(generator, pairs.boxes.device)
    templates, searches = pairs.templates.float(), pairs.searches.float()
    # Pasting fills from other rows of the batch, before colours are disturbed row by row.
    searches = _paste_occluders(searches, pairs, recipe.occluder_share, dice)
    searches = _paste_distractors(searches, pairs, recipe.distractor_share, dice)
    templates, searches, boxes = _flip(templates, searches, pairs.boxes, recipe.flip_share, dice)
    count = len(boxes)
    grey = dice.chance(count, recipe.grey_share)
    common = _colour_matrix(dice, count, recipe.colour, grey)
    templates, searches = (
        _finish(crops, _colour_matrix(dice, count, recipe.colour / 2, grey) @ common, recipe, dice)
        for crops in (templates, searches)
    )
    return Pairs(templates, searches, boxes, pairs.positive, pairs.gaps)


class Dice:
    """Random tensors drawn on the CPU and moved to a device."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        self._generator, self._device = generator, device

    def uniform(self, *shape: int) -> Tensor:
        """Uniform in 0..1."""
        return torch.rand(shape, generator=self._generator).to(self._device)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal."""
        return torch.randn(shape, generator=self._generator).to(self._device)

    def chance(self, count: int, share: float) -> Tensor:
        """(count,) bool, true with probability `share`."""
        return self.uniform(count) < share

    def whole(self, low: int, high: int) -> int:
        """An integer in low..high - 1."""
        return int(torch.randint(low, max(high, low + 1), (), generator=self._generator))


def _flip(
    templates: Tensor, searches: Tensor, boxes: Tensor, share: float, dice: Dice
) -> tuple[Tensor, Tensor, Tensor]:
    turned = dice.chance(len(boxes), share)
    side = searches.shape[1]
    mirrored = torch.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], dim=1)
    pick = turned[:, None, None, None]
    return (
        torch.where(pick, templates.flip(2), templates),
        torch.where(pick, searches.flip(2), searches),
        torch.where(turned[:, None], mirrored, boxes),
    )


def _colour_matrix(dice: Dice, count: int, strength: float, grey: Tensor) -> Tensor:
    """(B, 4, 4): brightness, contrast, saturation and channel gains as one affine map of (b, g, r, 1) around 128."""
    device = grey.device
    gain = torch.exp(dice.normal(count, 1) * strength) * torch.exp(dice.normal(count, 3) * strength / 4)
    saturation = torch.exp(dice.normal(count) * strength)
    saturation = torch.where(grey, torch.zeros_like(saturation), saturation)[:, None, None]
    luma = torch.tensor(LUMA, device=device).expand(3, 3)
    mix = saturation * torch.eye(3, device=device) + (1 - saturation) * luma
    matrix = torch.zeros(count, 4, 4, device=device)
    matrix[:, :3, :3] = gain[:, :, None] * mix
    # Keep mid-grey where it is, then shift the brightness.
    matrix[:, :3, 3] = 128 * (1 - matrix[:, :3, :3].sum(-1)) + dice.normal(count, 1) * strength * 96
    matrix[:, 3, 3] = 1
    return matrix


def _finish(crops: Tensor, matrix: Tensor, recipe: AugmentRecipe, dice: Dice) -> Tensor:
    """Colour, blur and noise; back to uint8."""
    count, side = len(crops), crops.shape[1]
    flat = crops.reshape(count, side * side, 3) @ matrix[:, :3, :3].transpose(1, 2) + matrix[:, None, :3, 3]
    crops = flat.reshape(crops.shape)
    crops = _blur(crops, dice.chance(count, recipe.blur_share), dice)
    strength = dice.uniform(count, 1, 1, 1).square() * recipe.noise
    crops = crops + dice.normal(1, side, side, 1) * strength
    return crops.clamp(0, 255).round().to(torch.uint8)


def _blur(crops: Tensor, chosen: Tensor, dice: Dice) -> Tensor:
    """Blurs the chosen rows along a random direction, from a round spot to a streak (motion)."""
    rows = chosen.nonzero().squeeze(1)
    if len(rows) == 0:
        return crops
    line = torch.arange(BLUR_KERNEL, device=crops.device) - BLUR_KERNEL // 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    angle = dice.uniform(len(rows), 1, 1) * torch.pi
    along = x * angle.cos() + y * angle.sin()
    across = y * angle.cos() - x * angle.sin()
    length = 0.6 + 2.4 * dice.uniform(len(rows), 1, 1)
    width = 0.5 + (length - 0.5) * dice.uniform(len(rows), 1, 1).square()
    kernel = torch.exp(-((along / length) ** 2 + (across / width) ** 2) / 2)
    kernel = (kernel / kernel.sum((1, 2), keepdim=True)).repeat_interleave(3, 0)[:, None]
    planes = crops[rows].permute(0, 3, 1, 2).reshape(1, -1, *crops.shape[1:3])
    margin = BLUR_KERNEL // 2
    padded = functional.pad(planes, (margin,) * 4, mode="replicate")
    blurred = functional.conv2d(padded, kernel, groups=len(kernel))
    result = crops.clone()
    result[rows] = blurred.reshape(len(rows), 3, *crops.shape[1:3]).permute(0, 2, 3, 1)
    return result


def _paste_occluders(searches: Tensor, pairs: Pairs, share: float, dice: Dice) -> Tensor:
    """Covers a third to a half of one side of some targets with a piece of another search crop."""
    result = searches.clone()
    chosen = dice.chance(len(searches), share) & pairs.positive
    for row in chosen.nonzero().squeeze(1).tolist():
        x0, y0, x1, y1 = (int(v) for v in pairs.boxes[row])
        part, edge = float(dice.uniform(1)) * 0.25 + 0.25, dice.whole(0, 4)
        if edge < 2:
            cover = max(1, int((x1 - x0) * part))
            x0, x1 = (x0, x0 + cover) if edge == 0 else (x1 - cover, x1)
        else:
            cover = max(1, int((y1 - y0) * part))
            y0, y1 = (y0, y0 + cover) if edge == 2 else (y1 - cover, y1)
        other = (row + 1 + dice.whole(0, len(searches) - 1)) % len(searches)
        result[row, y0:y1, x0:x1] = searches[other, y0:y1, x0:x1]
    return result


def _paste_distractors(searches: Tensor, pairs: Pairs, share: float, dice: Dice) -> Tensor:
    """Pastes another row's target beside some targets."""
    result = searches.clone()
    side = searches.shape[1]
    chosen = dice.chance(len(searches), share)
    for row in chosen.nonzero().squeeze(1).tolist():
        other = (row + 1 + dice.whole(0, len(searches) - 1)) % len(searches)
        if not pairs.positive[other]:
            continue
        x0, y0, x1, y1 = (int(v) for v in pairs.boxes[other])
        width, height = x1 - x0, y1 - y0
        left, top = dice.whole(0, side - width), dice.whole(0, side - height)
        own = pairs.boxes[row]
        covers = left < own[2] and left + width > own[0] and top < own[3] and top + height > own[1]
        if covers and bool(pairs.positive[row]):
            continue
        result[row, top : top + height, left : left + width] = searches[other, y0:y1, x0:x1]
    return result
