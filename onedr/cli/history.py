"""`onedr history`: every run of a datastore at this site."""
from __future__ import annotations

import json
import sys
from typing import cast

import click

from onedr.cli import completion, output, run_action, run_view
from onedr.model.errors import ProblemsFoundError
from onedr.model.json_form import Json
from onedr.model.text import first_few
from onedr.runs import history as runs_history
from onedr.runs.answer_events import ChainEvent, HistoryEvent
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request


@click.command(short_help="Show past runs, their times and losses.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.argument("run", required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="Print the journals of all runs, or of RUN, as one JSON object."
)
@click.option(
    "--verify", is_flag=True, help="Only look whether each journal is as its run left it (exit code 6: not)."
)
def history(datastore: str, run: str | None, as_json: bool, verify: bool) -> None:
    """Show the runs of DATASTORE: when, who, what, result, recovery time and loss.

    With RUN, show its VMs and steps.
    """
    if verify:
        _verify(datastore, as_json)
        return
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


def _verify(datastore: str, as_json: bool) -> None:
    for event in run_action.events(datastore, Request("history", attributes=(("VERIFY", "YES"),))):
        found = cast(ChainEvent, event)
        if as_json:
            click.echo(json.dumps(found.to_json(), indent=2))
        else:
            _chain(found)
        if found.problems:
            sys.exit(ProblemsFoundError.exit_code)


def _chain(found: ChainEvent) -> None:
    out = output.console()
    for problem in found.problems:
        out.print(output.styled("problem", "bold red"), problem)
    if found.unlinked:
        out.print(
            f"Not in the chain, because they have not ended or are of an earlier release: "
            f"{first_few(found.unlinked)}"
        )
    told = "as they were left" if not found.problems else "NOT as they were left"
    out.print(output.styled(f"{found.links} links, the journals are {told}."))
    if found.head:
        out.print(f"Newest link, to compare with the log: {found.head}", soft_wrap=True)


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
