"""The torch twin of `models.selection`: the choice of the best box as it is exported inside the search graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.grids import Grid
from models.selection import MIN_NEIGHBOURHOOD_CELLS

_TINY = 1e-6


class Selection(nn.Module):
    """Chooses among the candidates of one grid."""

    cells: Tensor
    window: Tensor

    def __init__(self, grid: Grid, stride: int) -> None:
        super().__init__()
        self.min_reach = float(MIN_NEIGHBOURHOOD_CELLS * stride)
        self.register_buffer("cells", torch.from_numpy(grid.cells.copy()), persistent=False)
        self.register_buffer("window", torch.from_numpy(grid.window.copy()), persistent=False)

    def forward(self, score: Tensor, boxes: Tensor, size: Tensor, loop: Tensor) -> tuple[Tensor, Tensor]:
        """Best (B, 8) and peak2 (B, 2); `models.selection.select` says what each number is.

        score (B, N) 0..1, boxes (B, 4, N) cx, cy, w, h, size (B, 2), loop (B, 3)."""
        penalty = _scale_penalty(boxes, size, loop[:, 0])
        influence = loop[:, 1, None]
        ranking = penalty * score * (1 - influence) + self.window * influence
        index = ranking.argmax(1, keepdim=True)
        table = torch.cat([boxes, score[:, None], penalty[:, None], ranking[:, None]], dim=1)
        best = torch.cat([_taken(table, index), index.to(score.dtype)], dim=1)
        return best, self._runner_up(score, boxes, size, index)

    def _runner_up(self, score: Tensor, boxes: Tensor, size: Tensor, index: Tensor) -> Tensor:
        reach = torch.clamp(size / 2, min=self.min_reach)
        chosen = self.cells[:, index[:, 0]].transpose(0, 1)
        near = ((self.cells[None] - chosen[:, :, None]).abs() < reach[:, :, None]).all(1)
        # Every score is 0 or more, so -1 marks the candidates that do not count.
        others = torch.where(near, torch.full_like(score, -1.0), score)
        second = others.argmax(1, keepdim=True)
        peak = others.gather(1, second)
        apart = _taken(boxes, second)[:, :2] - _taken(boxes, index)[:, :2]
        distance = apart.square().sum(1, keepdim=True).sqrt()
        return torch.cat([peak, distance], dim=1) * (peak >= 0)


class Twofold(nn.Module):
    """Chooses by the second of two templates, and has the first one doubt it."""

    def __init__(self, selection: Selection, agreement: float) -> None:
        super().__init__()
        self.selection = selection
        self.agreement = agreement

    def forward(self, score: Tensor, boxes: Tensor, size: Tensor, loop: Tensor) -> tuple[Tensor, Tensor]:
        """As `Selection`, of score (B, 2, N) and boxes (B, 2, 4, N); see `models.selection.doubted`."""
        doubting, _ = self.selection(score[:, 0], boxes[:, 0], size, loop)
        best, peak2 = self.selection(score[:, 1], boxes[:, 1], size, loop)
        overlap = _overlap(best[:, :4], doubting[:, :4])
        lower = torch.minimum(best[:, 4], doubting[:, 4]) * (overlap >= self.agreement)
        return torch.cat([best[:, :4], lower[:, None], best[:, 5:]], dim=1), peak2


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of (B, 4) boxes cx, cy, w, h, row by row."""
    sides = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2) - torch.maximum(
        a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2
    )
    shared = sides.clamp(min=0).prod(1)
    return shared / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared).clamp(min=_TINY)


def _taken(table: Tensor, index: Tensor) -> Tensor:
    """(B, C, N) and (B, 1) -> (B, C): the column at each index."""
    return table.gather(2, index[:, :, None].expand(-1, table.shape[1], 1)).squeeze(2)


def _scale_penalty(boxes: Tensor, size: Tensor, penalty_k: Tensor) -> Tensor:
    w, h = boxes[:, 2].clamp(min=_TINY), boxes[:, 3].clamp(min=_TINY)
    target_w, target_h = (side.clamp(min=_TINY)[:, None] for side in size.unbind(1))
    size_change = _change(_padded_size(w, h) / _padded_size(target_w, target_h))
    ratio_change = _change((target_w / target_h) / (w / h))
    return torch.exp(-(size_change * ratio_change - 1) * penalty_k[:, None])


def _padded_size(w: Tensor, h: Tensor) -> Tensor:
    pad = (w + h) / 2
    return ((w + pad) * (h + pad)).sqrt()


def _change(ratio: Tensor) -> Tensor:
    return torch.maximum(ratio, 1 / ratio)
