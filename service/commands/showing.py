"""Shows tables on stdout."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table


def show(tables: Iterable[Table]) -> None:
    """Prints them as they are: a name with brackets or colons in it is no markup."""
    console = Console(markup=False, emoji=False)
    for table in tables:
        console.print(table)
