"""Tools of others that read what is deployed. CI has them all; without one, its test is left out and says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[3] / "deploy"
TIMEOUT_S = 60.0


def ran(tool: str, *arguments: str | Path, **environment: str) -> str:
    """What the tool writes to stdout; the test fails with what it wrote to stderr."""
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is missing")
    ended = subprocess.run(
        [found, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        env=os.environ | environment,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "warning" not in ended.stderr.lower(), ended.stderr
    return ended.stdout
