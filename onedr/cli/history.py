"""`onedr history`: every run of a datastore at this site."""
from __future__ import annotations

import json
from typing import cast

import click

from onedr.cli import completion, output, run_action, run_view
from onedr.model.json_form import Json
from onedr.model.text import first_few
from onedr.runs import history as runs_history
from onedr.runs.answer_events import HistoryEvent
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request


@click.command(short_help="Show past runs, their times and losses.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.argument("run", required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the journals of all runs, or of RUN, as one JSON object."
)
def history(datastore: str, run: str | None, as_json: bool) -> None:
    """Show the runs of DATASTORE: when, who, what, result, recovery time and loss.

    With RUN, show its VMs and steps.
    """
    attributes = (("RUN", run),) if run is not None else ()
    for event in run_action.events(datastore, Request("history", attributes=attributes)):
        found = cast(HistoryEvent, event).runs
        entries = [JournalEntry.from_json(entry) for entry in found.values()]
        if as_json:
            click.echo(json.dumps(found, indent=2))
        elif run is not None:
            _one(entries[0], found[run].get("request", {}))
        else:
            _all(entries)


def _all(entries: list[JournalEntry]) -> None:
    """A few short lines for each run, the newest last."""
    out = output.console()
    if not entries:
        out.print("There was no run.")
    for entry in entries:
        row = runs_history.row(entry)
        out.print(output.styled(row.run), row.result, f"by {row.by} ({row.trigger})")
        out.print(f"  {', '.join(_facts(entry, row))}")
        if row.message:
            out.print(f"  {row.message}")
    for entry in entries[-1:]:
        _failed(entry)


def _facts(entry: JournalEntry, row: runs_history.Row) -> list[str]:
    """When, how long, how fast, how much may be lost, and which VMs."""
    told = [f"began {output.moment(row.began)}"]
    for text, value in (
        ("took", row.took_s), ("RTO", row.rto_s), ("RPO at most", row.rpo_s), ("lost", row.measured_s),
    ):
        if value is not None:
            told.append(f"{text} {output.seconds(value)}")
    names = [f"{vm.name or vm.origin}{' (failed)' if vm.failed else ''}" for vm in entry.vms]
    return [*told, f"VMs: {first_few(names, 5)}"] if names else told


def _one(entry: JournalEntry, request: Json) -> None:
    out = output.console()
    row = runs_history.row(entry)
    out.print(output.styled(row.run), row.result, f"by {row.by} ({row.trigger})")
    out.print(f"  {', '.join(_facts(entry, row))}")
    out.print(row.message)
    asked = {key: value for key, value in request.items() if value}
    out.print(f"request: {json.dumps(asked)}")
    for vm in entry.vms:
        out.print(f"  VM {vm.name or vm.origin}: {run_view.vm_text(vm)}")
    out.print(
        output.table(
            "Steps",
            ("step", "of", "took", "result"),
            [
                (kind, target, output.seconds(seconds), said)
                for kind, target, seconds, said in runs_history.steps(entry)
            ],
        )
    )
    _failed(entry)


def _failed(entry: JournalEntry) -> None:
    for item, why in entry.failed.items():
        output.console().print(f"  FAILED {item}: {why}")
