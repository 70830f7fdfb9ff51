"""Events, tables and times for people."""
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from onedr.model.text import printable
from onedr.runs.events import Event
from onedr.runs.plan_events import DrillPlanEvent, DrillVm, FailoverPlanEvent, FailoverVm, StepShown

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_WHOLE = 10  # letters of a word that is not broken: a date has as many
Views = Mapping[type[Event], Callable[[Any], None]]  # by class of event


def console() -> Console:
    """Output to the terminal; where there is none, plain text in wide lines."""
    from onedr.cli.terminal import PlainConsole

    found = PlainConsole()
    return found if found.is_terminal else PlainConsole(width=200)


def styled(text: str, style: str = "bold") -> Text:
    """A text in this style, as one part of a line."""
    from rich.text import Text

    return Text(printable(text), style)


def line(text: str, err: bool = False) -> None:
    """One line as it is, never folded; `err`: to standard error."""
    click.echo(printable(text), err=err)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table; None is shown as a dash. Where it must fold, words of headings, dates and states stay whole.
    """
    from rich import box
    from rich.table import Table

    made = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False
    )
    cells = [[_cell(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        words = [len(word) for row in cells for word in str(row[place]).split()]
        heading = max(len(word) for word in column.split())
        made.add_column(column, overflow="fold", min_width=max(heading, min(max(words, default=0), _WHOLE)))
    for row in cells:
        made.add_row(*row)
    return made


def _cell(value: object) -> str | Text:
    from rich.text import Text

    if isinstance(value, Text):
        return value
    return "-" if value is None or value == "" else str(value)


def moment(at: float | None) -> str | None:
    """Epoch seconds as UTC."""
    return None if at is None else time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(at))


def seconds(value: float | None) -> str | None:
    """A duration for people."""
    if value is None:
        return None
    if value < 120:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def size(count: float | None) -> str | None:
    """An amount of data for people."""
    if count is None:
        return None
    if count >= 2**30:
        return f"{count / 2**30:.1f} GiB"
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{-(-int(count) // 1024)} KiB"


def lost(seconds_lost: float | None, bytes_lost: int | None) -> str:
    """A loss: seconds, and bytes where they are known."""
    told = [seconds(seconds_lost) or "unknown", size(bytes_lost)]
    return ", ".join(filter(None, told))


def present(events: Iterable[Event], views: Views, as_json: bool = False) -> None:
    """Show events as they come: each by the view of its class, or as a line of JSON."""
    for event in events:
        if as_json:
            click.echo(json.dumps(event.to_json()))
        else:
            views[type(event)](event)


def steps(planned: Sequence[StepShown]) -> None:
    """The ordered steps of a plan, with their limits."""
    console().print(table("Steps", ("#", "step", "limit"), [
        (place, step.text, f"{step.limit_s} s") for place, step in enumerate(planned, 1)
    ]))


def notes(event: FailoverPlanEvent | DrillPlanEvent) -> None:
    """What a plan warns of, by VM."""
    for vm in event.vms:
        for warning in vm.warnings:
            console().print(f"Note: VM {vm.name}: {warning}")


def blocked(vms: Iterable[FailoverVm | DrillVm]) -> None:
    """VMs that a plan cannot take, and why."""
    rows = [(f"{vm.name} ({vm.vm})", vm.left_out) for vm in vms if vm.left_out]
    if rows:
        console().print(table("Blocked", ("VM", "by"), rows))


def left_out(items: Mapping[str, str]) -> None:
    """What a plan does not touch, and why."""
    for item, why in items.items():
        console().print(f"Left out: {item}: {why}")
