"""Several processes that learn together, started by `torchrun`: each has its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

_PATIENCE = timedelta(hours=2)
"""How long the others wait for the process that judges a checkpoint."""


@dataclass(frozen=True, slots=True)
class Share:
    """Which of the processes this one is."""

    rank: int
    world: int
    local_rank: int

    @property
    def leads(self) -> bool:
        """Writes checkpoints and logs, and judges."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """The process's own GPU where there is one."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")


ALONE = Share(rank=0, world=1, local_rank=0)


@contextmanager
def joined() -> Iterator[Share]:
    """Joins the processes of `torchrun`, which tells them through the environment; alone without it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    share = Share(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if share.device.type == "cuda":
        torch.cuda.set_device(share.device)
    distributed.init_process_group("nccl" if share.device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield share
    finally:
        distributed.destroy_process_group()


def mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    """The mean of every process's tensor; the tensor itself where there is one process."""
    if not distributed.is_initialized():
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / distributed.get_world_size()


def any_process(said: bool, device: torch.device) -> bool:
    """Whether any of the processes says so; all get the same answer. The tensor for it lies on `device`."""
    if not distributed.is_initialized():
        return said
    return bool(mean_over_processes(torch.tensor(float(said), device=device)) > 0)


def every_process(number: int, device: torch.device) -> list[int]:
    """What each of the processes says, by rank; all get the same list. The tensors for it lie on `device`."""
    if not distributed.is_initialized():
        return [number]
    own = torch.tensor(number, device=device)
    told = [torch.zeros_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(told, own)
    return [int(each) for each in told]
