"""TorchScript: exported graphs run by torch, on the processor or on CUDA."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import nn

from models.runtimes.base import GraphInvalid
from models.runtimes.kinds import Precision, RuntimeUnavailable
from models.runtimes.torch import TorchRuntime


def open_torchscript(
    template_graph: Path,
    search_graphs: Mapping[int, Path],
    device: str = "cpu",
    threads: int = 1,
    precision: Precision = Precision.F32,
) -> TorchRuntime:
    """A runtime of graphs that `models.networks.exporting` wrote; `precision` says in which numbers that was.

    `threads` goes for all of torch in this process. Raises GraphInvalid, or RuntimeUnavailable where the device is
    missing."""
    if device.startswith("cuda"):
        _require_cuda(device)
        # The same boxes as everywhere else: TF32 has 10 bits where float32 has 23.
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(threads)
    searches = {size: _loaded(path, device) for size, path in search_graphs.items()}
    return TorchRuntime(_loaded(template_graph, device), searches, device, name="torchscript", precision=precision)


def _require_cuda(device: str) -> None:
    if not torch.cuda.is_available():
        raise RuntimeUnavailable(f"torch cannot use {device}: it finds no CUDA, or is built without it")
    _, _, number = device.partition(":")
    if int(number or 0) >= torch.cuda.device_count():
        raise RuntimeUnavailable(f"there is no {device}: torch finds {torch.cuda.device_count()} GPUs")


def _loaded(graph: Path, device: str) -> nn.Module:
    with warnings.catch_warnings():
        # It works, it is fast, and what is to follow it needs a compiler on the machine that serves.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        try:
            return cast("nn.Module", torch.jit.load(graph, map_location=device))  # type: ignore[no-untyped-call]
        except (RuntimeError, ValueError) as error:
            raise GraphInvalid(f"{graph}: TorchScript cannot load it: {error}") from error
