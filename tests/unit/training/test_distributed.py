"""Two processes under torchrun learn what one does that has the same batch in two parts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.spec import SpecInvalid
from tests.unit.training.short_runs import RECIPES, changed, short_recipe
from training import checkpoint
from training.datasets.sources import open_sources
from training.distributed import Share
from training.feeding import Feeder
from training.fit import train
from training.progress import read_log
from training.recipe import read_recipe
from training.sampling import PairSampler

ROOT = RECIPES.parents[1]
RESUMED = "import sys, pathlib, training.fit; training.fit.train(*map(pathlib.Path, sys.argv[1:]), resume=True)"
PROGRAM = "import sys, pathlib, training.fit; training.fit.train(*map(pathlib.Path, sys.argv[1:]))"


@pytest.fixture(scope="module")
def two(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what two processes made of the short recipe: `whole`, and `stopped`, which was resumed."""
    folder = tmp_path_factory.mktemp("two")
    recipe = changed(short_recipe(shards, folder / "short.toml"), accumulate=1)
    program = [sys.executable, "-m", "tests.unit.training.one_of_two", str(recipe), str(folder), *free_ports(3)]
    codes, told = ran(program, program)
    assert codes == [0, 0], told
    return folder


def ran(*programs: list[str], **environment: str) -> tuple[list[int], list[str]]:
    """Exit codes of processes that learn together, one for each program, and what they wrote to stderr."""
    usual = os.environ | {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(len(programs)), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            program,
            cwd=ROOT,
            env=usual | environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, program in enumerate(programs)
    ]
    told = [process.communicate()[1] for process in processes]
    return [process.returncode for process in processes], told


def free_ports(count: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


def last(folder: Path) -> dict[str, Any]:
    return checkpoint.load(folder / checkpoint.LAST)


def losses(out: Path) -> list[float]:
    return [entry["total"] for entry in read_log(out)]


def assert_same_weights(ours: dict[str, Any], theirs: dict[str, Any], tolerance: float) -> None:
    """But for the statistics of batch norm: each process has those of its own crops, and the first one's are kept."""
    for key, value in theirs["network"].items():
        if "running" not in key and "batches" not in key:
            torch.testing.assert_close(ours["network"][key], value, rtol=tolerance, atol=tolerance / 100)


def test_two_processes_learn_as_one_does_with_the_same_parts(two: Path, short: Path, tmp_path: Path) -> None:
    one, both = checkpoint.load(train(short, tmp_path)), last(two / "whole")
    assert (both["step"], both["pairs"]) == (one["step"], one["pairs"]) == (6, 24)
    np.testing.assert_allclose(losses(two / "whole"), losses(tmp_path), rtol=1e-5)
    assert_same_weights(both, one, 1e-4)


def test_two_processes_that_were_stopped_go_on_to_the_same_weights(two: Path) -> None:
    whole, resumed = last(two / "whole"), last(two / "stopped")
    for part in ("network", "average"):
        for key, value in whole[part].items():
            assert torch.equal(resumed[part][key], value), f"{part}: {key}"
    files = sorted(path.name for path in (two / "stopped").glob("*.pt"))
    assert files == [*(f"average-{step:08d}.pt" for step in (2, 4, 6)), checkpoint.LAST]


def test_processes_that_see_different_folders_do_not_go_on(short: Path, tmp_path: Path) -> None:
    train(short, tmp_path / "host0", steps=2)
    programs = [[sys.executable, "-c", RESUMED, str(short), str(tmp_path / host)] for host in ("host0", "host1")]
    codes, told = ran(*programs, MASTER_PORT=free_ports(1)[0])
    assert codes == [1, 1]
    for host, text in enumerate(told):
        assert f"host{host}: the processes find a run of 2, 0 steps there; --out must be a folder of all" in text


@pytest.mark.slow
def test_torchrun_starts_them(short: Path, tmp_path: Path) -> None:
    one = checkpoint.load(train(short, tmp_path / "one"))
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--no-python"]
    program += [sys.executable, "-c", PROGRAM, str(changed(short, accumulate=1)), str(tmp_path / "two")]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert_same_weights(checkpoint.load(tmp_path / "two" / checkpoint.LAST), one, 1e-4)


def test_a_batch_that_can_not_be_shared_evenly_is_refused(short: Path, shards: Path) -> None:
    read = read_recipe(short)
    sampler = PairSampler(open_sources(read.data), read.data, read.augment, read.trained_model.crop, 1)
    with pytest.raises(SpecInvalid, match="batch 4 can't be cut into accumulate 2 x 3 processes"):
        Feeder(read, sampler, lambda crops: crops, torch.device("cpu"), Share(rank=0, world=3, local_rank=0))
