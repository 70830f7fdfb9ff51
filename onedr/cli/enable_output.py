"""What `onedr enable` and `onedr disable` show: the plan, a progress bar over the items, the result."""
from __future__ import annotations

from collections.abc import Iterable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from onedr.cli import output
from onedr.model.text import printable
from onedr.runs.events import Event, ItemEvent, VerdictEvent
from onedr.runs.plan_events import ConversionPlanEvent

_WHAT = {"act": "to do", "done": "already done", "wait": "waits", "leave": "left alone"}
_MIB = 1024 * 1024


def present(events: Iterable[Event], as_json: bool) -> None:
    """Show events as they come, or hand them on as lines of JSON."""
    if as_json:
        output.present(events, {}, as_json)
        return
    out = output.console()
    text = TextColumn("{task.description}", markup=False)
    columns = text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=out, disable=not out.is_terminal, transient=True) as progress:
        told: set[tuple[str, str]] = set()
        bar = progress.add_task("", total=None, visible=False)
        for event in events:
            if isinstance(event, ItemEvent):
                label, number = printable(event.label), event.number
                progress.update(bar, description=label, completed=number, total=event.total, visible=True)
                out.print(f"  {event.result:8} {event.label} ({event.name}): {event.detail}")
                told.add((event.label, event.result))
            elif isinstance(event, ConversionPlanEvent):
                _plan(event)
            elif isinstance(event, VerdictEvent):
                _verdict(event, told)


def _plan(event: ConversionPlanEvent) -> None:
    out = output.console()
    if event.refusals:
        return  # the error says them
    columns = ("image or disk", "RBD image", "MiB", "what", "why")
    out.print(output.table(f"Datastore {event.datastore}", columns, [
        (item.label, item.name, item.size // _MIB, _WHAT[item.what], item.reason) for item in event.items
    ]))
    for number, step in enumerate(event.steps, 1):
        out.print(f"{number}. {step}")
    if event.changes:
        changes = " ".join(f"{key}={value}" for key, value in event.changes.items() if key != "DR_MESSAGE")
        out.print(f"Attributes to be set: {changes}")
    for warning in event.warnings:
        out.print(f"Note: {warning}")


def _verdict(event: VerdictEvent, told: set[tuple[str, str]]) -> None:
    out = output.console()
    for kind, items in (("waiting", event.waiting), ("failed", event.failed)):
        for label, why in items.items():
            if (label, kind) not in told:
                out.print(f"  {kind:8} {label}: {why}")
    out.print(event.message)
