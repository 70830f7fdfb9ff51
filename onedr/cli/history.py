"""`onedr history`: every run of a datastore at this site."""
from __future__ import annotations

import json
from typing import cast

import click

from onedr.cli import completion, output, run_action
from onedr.model.json_form import Json
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
    columns = ("run", "began", "by", "result", "took", "RTO", "RPO at most", "lost", "message")
    rows = [runs_history.row(entry) for entry in entries]
    output.console().print(output.table("Runs", columns, [
        (row.run, output.moment(row.began), f"{row.by} {row.trigger}", row.result, output.seconds(row.took_s),
         output.seconds(row.rto_s), output.seconds(row.rpo_s),
         output.seconds(row.measured_s), row.message)
        for row in rows
    ]))
    for entry in entries[-1:]:
        _failed(entry)


def _one(entry: JournalEntry, request: Json) -> None:
    out = output.console()
    row = runs_history.row(entry)
    out.print(f"{row.run}  {row.result}  by {row.by} ({row.trigger})  began {output.moment(row.began)}")
    out.print(row.message)
    asked = {key: value for key, value in request.items() if value}
    out.print(f"request: {json.dumps(asked)}")
    out.print(
        output.table(
            "VMs",
            output.OUTCOME_COLUMNS,
            [output.outcome(vm) for vm in entry.vms],
        )
    )
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
