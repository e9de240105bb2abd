"""The golden files of published toolkits, and small data sets of drawn frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """Result files, and what the original code made of them."""
    return shared / "golden" / "evaluation"


@pytest.fixture(scope="session")
def expected(golden: Path) -> Any:
    """The numbers of the original code."""
    return json.loads((golden / "expected.json").read_text())
