"""Tables on a terminal."""

from __future__ import annotations

import pytest
from rich.table import Table

from service.commands.showing import show


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("clip[old]", "[/x]", ":smile:")
    table = Table(*names, title="[bold]")
    table.add_row(*names)
    show([table])
    told = capsys.readouterr().out
    assert "[bold]" in told
    assert all(told.count(name) == 2 for name in names)
