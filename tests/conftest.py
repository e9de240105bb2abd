"""Fixtures for every test, and the rule for tests that need the shared data folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog

# The networks of tests are small: a second thread mostly waits for the first, and for long on a busy machine.
# Torch reads this when it is imported, and the processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# How long an example takes is the machine's business.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

SHARED = Path(os.environ.get("LOCKON_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_configure() -> None:
    """Missing data is an error under CI=true; faults are logged plainly."""
    # By default structlog draws every local variable of every frame of a traceback: seconds for each fault.
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    if os.environ.get("CI") == "true" and not _has_data():
        raise pytest.UsageError(f"the tests need the shared data, and {SHARED} has no data/eval")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out slow tests unless asked for, and `shared` tests where the data is missing."""
    wanted = config.getoption("-m") or ""
    left_out = [item for item in items if item.get_closest_marker("slow") and "slow" not in wanted]
    if not _has_data():
        needing = [item for item in items if item.get_closest_marker("shared") and item not in left_out]
        left_out += needing
        config.stash[_MISSING] = len(needing)
        if (told := getattr(config, "workeroutput", None)) is not None:
            told["missing"] = len(needing)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def _has_data() -> bool:
    return (SHARED / "data" / "eval").is_dir()


_MISSING: pytest.StashKey[int] = pytest.StashKey()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Each of several processes has collected all tests, and says how many it left out."""
    node.config.stash[_MISSING] = node.workeroutput.get("missing", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line that says what was left out for want of data."""
    if missing := config.stash.get(_MISSING, 0):
        terminalreporter.write_line(f"{missing} tests left out: no shared data at {SHARED} (set LOCKON_SHARED)")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; only for tests marked `shared`."""
    return SHARED
