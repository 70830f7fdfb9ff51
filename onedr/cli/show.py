"""Tables and times for people."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def console() -> Console:
    """Output to the terminal; plain text with room enough when it is not one."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=200)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table; None is shown as a dash."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*("-" if cell is None or cell == "" else str(cell) for cell in row))
    return made


def moment(at: float | None) -> str | None:
    """Epoch seconds as UTC."""
    return None if at is None else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


def seconds(value: float | None) -> str | None:
    """A duration a person reads at once."""
    if value is None:
        return None
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
