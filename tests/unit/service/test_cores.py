"""How many cores count."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from service.cores import usable_cores


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1), ("9999999 100000", None)]
)
def test_a_containers_limit_counts_where_it_is_the_smaller_one(tmp_path: Path, limit: str, cores: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{limit}\n")
    own = len(os.sched_getaffinity(0))
    assert usable_cores(file) == (own if cores is None else cores)


def test_a_limit_is_rounded_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)), raising=False)
    file = tmp_path / "cpu.max"
    file.write_text("250000 100000\n")
    assert usable_cores(file) == 3


@pytest.mark.parametrize("content", [None, "", "nonsense", "1 2 3"])
def test_without_a_readable_limit_those_that_it_may_run_on_count(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "cpu.max"
    if content is not None:
        file.write_text(content)
    assert usable_cores(file) == len(os.sched_getaffinity(0))
