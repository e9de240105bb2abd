"""How far every variant is from the original code, and its runtimes from torch: one row each, as Markdown.

    python -m tests.benchmarks.zoo                     # everything, an hour or two
    python -m tests.benchmarks.zoo --only tracking     # or network, crops, runtimes

The first columns run the golden tests, slow ones included, and note for every comparison how far apart the two sides
were: a cell is the difference that came nearest to its tolerance, and that tolerance. The others compare each runtime
with torch, with the golden weights on crops of the golden frames. Variants that have no golden folder of their own
share the network of another one; their runtimes are compared with random weights.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
from torch import nn

from models.runtimes.comparing import BOX_TOLERANCE_PX, SCORE_TOLERANCE, Difference
from models.spec import ModelSpec
from models.variants import VARIANTS
from tests.golden import comparing
from tests.golden.zoo import CASES, differences, network_of
from tests.random_networks import lively_network
from tests.runtimes import EXACT

COLUMNS: Mapping[str, re.Pattern[str]] = {
    "network": re.compile("network_gives|wide_search_gives|other_code_bases|outputs_are_decoded"),
    "crops": re.compile("crops_hold"),
    "tracking": re.compile("each_step|each_narrow_step|published_track|track_is_the|refreshed_memory|loses_and_finds"),
}
"""Which golden tests prove what, by their names."""
RUNTIMES = ("onnxruntime", "torchscript", "openvino")
GOLDEN_TESTS = Path(comparing.__file__).parent


class Comparison(NamedTuple):
    """The largest difference of one comparison, and its tolerance."""

    difference: float
    tolerance: float

    @property
    def share(self) -> float:
        """Of the tolerance; for exact comparisons 0 or infinite."""
        if self.difference == 0:
            return 0.0
        return self.difference / self.tolerance if self.tolerance else float("inf")


class Recorder:
    """A pytest plugin that notes the comparisons and the outcome of every golden test."""

    def __init__(self) -> None:
        self.comparisons: defaultdict[tuple[str, str], list[Comparison]] = defaultdict(list)
        self.left: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self._current: list[tuple[str, str]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        """Says whom the comparisons of this test belong to."""
        self._current = list(_cells(item))
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes what did not pass."""
        if report.skipped or report.failed:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else "FAILED"
            for cell in self._current:
                self.left[cell].append(str(reason))

    def note(self, comparison: Comparison) -> None:
        """One comparison of the running test."""
        for cell in self._current:
            self.comparisons[cell].append(comparison)


def _cells(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """Golden folder and column that a test tells of; a test that names no folder tells of all in its file."""
    module = cast("pytest.Function", item).module
    columns = [column for column, pattern in COLUMNS.items() if pattern.search(item.name)]
    given = getattr(item, "callspec", None)
    named = {value for value in given.params.values() if isinstance(value, str)} & set(CASES) if given else set()
    folders = named or ({module.FOLDER} if hasattr(module, "FOLDER") else set(getattr(module, "FOLDERS", ())))
    return ((folder, column) for folder in folders for column in columns)


@contextmanager
def noted(recorder: Recorder) -> Iterator[None]:
    """Tells the recorder of every comparison of arrays, before it is judged."""
    close, equal, pixels = np.testing.assert_allclose, np.testing.assert_array_equal, comparing.assert_same_pixels

    def assert_allclose(actual: Any, desired: Any, rtol: float = 1e-7, atol: float = 0, **options: Any) -> None:
        recorder.note(_compared(actual, desired, rtol, atol))
        close(actual, desired, rtol=rtol, atol=atol, **options)

    def assert_array_equal(actual: Any, desired: Any, **options: Any) -> None:
        recorder.note(_compared(actual, desired, 0, 0))
        equal(actual, desired, **options)

    def assert_same_pixels(ours: Any, expected: Any, tolerance: Mapping[str, Any], case: str) -> None:
        recorder.note(_compared(ours, expected, 0, tolerance["crop_abs_levels"]))
        pixels(ours, expected, tolerance, case)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.testing, "assert_allclose", assert_allclose)
        patch.setattr(np.testing, "assert_array_equal", assert_array_equal)
        for module in [sys.modules[name] for name in list(sys.modules) if name.startswith("tests.golden.")]:
            if hasattr(module, "assert_same_pixels"):
                patch.setattr(module, "assert_same_pixels", assert_same_pixels)
        yield


def _compared(actual: Any, desired: Any, rtol: float, atol: float) -> Comparison:
    ours, expected = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    apart, allowed = np.broadcast_arrays(np.abs(ours - expected), atol + rtol * np.abs(expected))
    worst = np.argmax(apart - allowed) if apart.size else None
    return Comparison(float(apart.flat[worst]), float(allowed.flat[worst])) if worst is not None else Comparison(0, 0)


def golden_cells(wanted: list[str]) -> dict[tuple[str, str], str]:
    """(folder, column) -> cell, from a run of the golden tests of these columns."""
    recorder = Recorder()
    names = " or ".join(name for column in wanted for name in COLUMNS[column].pattern.split("|"))
    chosen = ["-m", "shared or slow", "-k", names, "--deselect", str(GOLDEN_TESTS / "test_runtimes.py")]
    with noted(recorder):
        pytest.main(["-q", "-n", "0", "--timeout", "0", *chosen, str(GOLDEN_TESTS)], plugins=[recorder])
    cells = {}
    for cell, made in recorder.comparisons.items():
        worst = max(made, key=lambda each: each.share)
        cells[cell] = f"{worst.difference:.1e} / {worst.tolerance:.0e}"
    for cell, reasons in recorder.left.items():
        cells[cell] = "; ".join(filter(None, [cells.get(cell), *dict.fromkeys(reasons)]))
    return cells


def runtime_cells(network: nn.Module, spec: ModelSpec) -> list[str]:
    """How far each runtime is from torch."""
    ways = {name: EXACT[name] for name in RUNTIMES}
    with tempfile.TemporaryDirectory() as folder:
        found = dict(differences(network, spec, ways, Path(folder)))
    return [_told(found[name]) for name in RUNTIMES]


def _told(found: Difference) -> str:
    choices = f", {found.other_choices} OTHER CHOICES" if found.other_choices else ""
    return f"{found.box_px:.1e} px / {BOX_TOLERANCE_PX:.0e}, {found.score:.1e} / {SCORE_TOLERANCE:.0e}{choices}"


def _folder(variant: str) -> str | None:
    """The golden folder of a variant."""
    return next((folder for folder, case in CASES.items() if case.variant == variant), None)


def _relative(variant: str) -> str:
    """Where the network of a variant without a golden folder is proven."""
    own = VARIANTS[variant].network.architecture
    same = [folder for folder, case in CASES.items() if VARIANTS[case.variant].network.architecture is own]
    return f"none; the network of {', '.join(same)}"


def main() -> None:
    """Runs what is wanted and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=[*COLUMNS, "runtimes"], action="append", help="columns; all by default")
    options.add_argument("--variant", choices=list(VARIANTS), action="append", help="rows; all by default")
    chosen = options.parse_args()
    wanted = chosen.only or [*COLUMNS, "runtimes"]
    torch.set_num_threads(1)
    golden_columns = [column for column in COLUMNS if column in wanted]
    cells = golden_cells(golden_columns) if golden_columns else {}
    titles = ["variant", "golden folder", *golden_columns, *(RUNTIMES if "runtimes" in wanted else ())]
    print(f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}", flush=True)  # noqa: T201
    for variant in chosen.variant or VARIANTS:
        folder = _folder(variant)
        told = (
            cells.get((folder, column), "nothing published") if folder else "see there" for column in golden_columns
        )
        row = [variant, folder or _relative(variant), *told]
        if "runtimes" in wanted:
            spec, network = network_of(folder) if folder else (VARIANTS[variant], lively_network(VARIANTS[variant]))
            row += runtime_cells(network, spec)
        print(f"| {' | '.join(row)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
