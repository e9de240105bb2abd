"""Fixtures for every test, and the rule for tests that need the shared data folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The networks of tests are small: a second thread mostly waits for the first, and for long on a busy machine.
# Torch reads this when it is imported, and the processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("LOCKON_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out slow tests unless asked for, and `shared` tests where the data is missing (an error under CI=true)."""
    wanted = config.getoption("-m") or ""
    left_out = [item for item in items if item.get_closest_marker("slow") and "slow" not in wanted]
    if not (SHARED / "data" / "eval").is_dir():
        needing = [item for item in items if item.get_closest_marker("shared") and item not in left_out]
        if needing and os.environ.get("CI") == "true":
            raise pytest.UsageError(f"{len(needing)} tests need the shared data, and {SHARED} has no data/eval")
        left_out += needing
        config.stash[_MISSING] = len(needing)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


_MISSING: pytest.StashKey[int] = pytest.StashKey()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line that says what was left out for want of data."""
    if missing := config.stash.get(_MISSING, 0):
        terminalreporter.write_line(f"{missing} tests left out: no shared data at {SHARED} (set LOCKON_SHARED)")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; only for tests marked `shared`."""
    return SHARED
