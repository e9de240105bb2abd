"""Commands that need the extra `train` say what of it is missing, and how to get it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.commands.failures import NEEDS

ARGUMENTS = {
    "train": ["recipe.toml"],
    "export": ["checkpoint.pt"],
    "models import": ["weights.pth"],
    "calibrate": ["model", "--folder", "."],
    "data": ["check", "."],
    "tune": ["--root", "."],
    "evaluate --benchmark": ["otb100", "--root", "."],
}


@pytest.mark.parametrize("command", NEEDS)
def test_a_missing_library_is_named_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    assert all(find_spec(name) is not None for name in NEEDS[command]), "the extra has all that is listed"
    monkeypatch.setitem(sys.modules, NEEDS[command][-1], None)  # Python then finds no such module
    answer = CliRunner().invoke(app, [*command.split(), *ARGUMENTS[command]])
    assert answer.exit_code == 1
    assert answer.stderr.startswith(f"error: `lockon {command}` needs ")
    assert answer.stderr.endswith(": pip install 'lockon[train]'\n")
