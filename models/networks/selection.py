"""The torch twin of `models.selection`: the choice of the best box as it is exported inside the search graph."""

from __future__ import annotations

import torch
from torch import Tensor

from models.selection import MIN_NEIGHBOURHOOD_CELLS, hanning_window

_TINY = 1e-6


def select(
    score: Tensor, boxes: Tensor, size: Tensor, loop: Tensor, window: Tensor, stride: int
) -> tuple[Tensor, Tensor]:
    """Best (B, 6) and peak2 (B, 2); `models.selection.select` says what each number is.

    score (B, H, W) 0..1, boxes (B, 4, H, W) cx, cy, w, h, size (B, 2), loop (B, 3), window (H, W)."""
    height, width = score.shape[1:]
    penalty = _scale_penalty(boxes, size, loop[:, 0])
    influence = loop[:, 1, None, None]
    ranking = penalty * score * (1 - influence) + window * influence
    index = ranking.flatten(1).argmax(1, keepdim=True)
    flat = torch.cat([boxes, score[:, None], penalty[:, None]], dim=1).flatten(2)
    best = _taken(flat, index)

    row, column = index // width, index % width
    reach = torch.clamp(size / (2 * stride), min=MIN_NEIGHBOURHOOD_CELLS)
    near_row = (torch.arange(height, device=score.device)[None, :] - row).abs() < reach[:, 1:]
    near_column = (torch.arange(width, device=score.device)[None, :] - column).abs() < reach[:, :1]
    # Every score is 0 or more, so -1 marks the cells that do not count.
    others = torch.where(near_row[:, :, None] & near_column[:, None, :], torch.full_like(score, -1.0), score).flatten(1)
    second = others.argmax(1, keepdim=True)
    peak = others.gather(1, second)
    offset = _taken(flat, second)[:, :2] - best[:, :2]
    distance = offset.square().sum(1, keepdim=True).sqrt()
    return best, torch.cat([peak, distance], dim=1) * (peak >= 0)


def _taken(flat: Tensor, index: Tensor) -> Tensor:
    """(B, C, N) and (B, 1) -> (B, C): the column at each index."""
    return flat.gather(2, index[:, :, None].expand(-1, flat.shape[1], 1)).squeeze(2)


def _scale_penalty(boxes: Tensor, size: Tensor, penalty_k: Tensor) -> Tensor:
    w, h = boxes[:, 2].clamp(min=_TINY), boxes[:, 3].clamp(min=_TINY)
    target_w, target_h = (side.clamp(min=_TINY)[:, None, None] for side in size.unbind(1))
    size_change = _change(_padded_size(w, h) / _padded_size(target_w, target_h))
    ratio_change = _change((target_w / target_h) / (w / h))
    return torch.exp(-(size_change * ratio_change - 1) * penalty_k[:, None, None])


def _padded_size(w: Tensor, h: Tensor) -> Tensor:
    pad = (w + h) / 2
    return ((w + pad) * (h + pad)).sqrt()


def _change(ratio: Tensor) -> Tensor:
    return torch.maximum(ratio, 1 / ratio)


def window_for(map_size: int) -> Tensor:
    """(map_size, map_size) cosine window."""
    return torch.from_numpy(hanning_window(map_size, map_size).copy())
