"""A folder with tiny graphs in every format; see `tests.unit.models.conftest.TinyGraphs` for what they compute."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from tests.unit.models.conftest import TinyGraphs


class TinyTemplate(nn.Module):
    def forward(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        pixels = crop.float()
        return pixels.mean((1, 2)), pixels.amax((1, 2))


class TinySearch(nn.Module):
    def forward(
        self, mean: Tensor, brightest: Tensor, crop: Tensor, size: Tensor, loop: Tensor
    ) -> tuple[Tensor, Tensor]:
        return torch.cat([crop.float().mean((1, 2)) - mean, brightest + loop, size], dim=1), size.clone()


@pytest.fixture(scope="session")
def tiny_folder(tiny_graphs: TinyGraphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "template.onnx").write_bytes(tiny_graphs.template)
    (folder / "search.onnx").write_bytes(tiny_graphs.search)
    (folder / "other.onnx").write_bytes(tiny_graphs.strange_search)
    crops, threes, size = torch.zeros(2, 16, 16, 3, dtype=torch.uint8), torch.zeros(2, 3), torch.zeros(2, 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        torch.jit.trace(TinyTemplate(), (crops,)).save(folder / "template.ts")  # type: ignore[no-untyped-call]
        torch.jit.trace(TinySearch(), (threes, threes, crops, size, threes)).save(folder / "search.ts")  # type: ignore[no-untyped-call]
    return folder
