"""`onedr history`: every run of a datastore at this site, kept for ever."""
from __future__ import annotations

import json
from typing import Any

import click

from onedr.ceph import connection
from onedr.cli import output
from onedr.model.errors import InputError
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.runs import history as runs_history
from onedr.runs import journal
from onedr.runs import lease as runs_lease


@click.command()
@click.argument("datastore")
@click.argument("run", required=False)
@click.option(
    "--json", "as_json", is_flag=True, help="The whole journal of every run, or of RUN (docs/history.md)."
)
def history(datastore: str, run: str | None, as_json: bool) -> None:
    """Show the runs of DATASTORE: when, who, what, how it ended, recovery time and loss.

    With RUN, its steps.
    """
    with connection.connect(datastores.from_element(FrontEnd().find_datastore(datastore)).access) as pool:
        runs = journal.load_runs(pool)
        lease = runs_lease.in_force(pool)
    in_progress = lease.run or next(reversed(runs), "") if lease is not None else ""
    shown = {
        name: {**entry, "result": runs_history.result(entry, in_progress)} for name, entry in runs.items()
    }
    if run is not None:
        if run not in shown:
            raise InputError(f"There is no run {run!r} on {datastore}; onedr history {datastore} lists them.")
        shown = {run: shown[run]}
    if as_json:
        click.echo(json.dumps(shown, indent=2))
    elif run is not None:
        _one(shown[run], in_progress)
    else:
        _all(shown, in_progress)


def _all(runs: dict[str, dict[str, Any]], in_progress: str) -> None:
    columns = ("run", "began", "by", "result", "took", "RTO", "RPO", "message")
    rows = [runs_history.row(entry, in_progress) for entry in runs.values()]
    output.console().print(output.table("Runs", columns, [
        (row.run, output.moment(row.began), f"{row.by} {row.trigger}", row.result, output.seconds(row.took_s),
         output.seconds(row.rto_s), output.seconds(row.rpo_s), row.message)
        for row in rows
    ]))
    for entry in list(runs.values())[-1:]:
        _failed(entry)


def _one(entry: dict[str, Any], in_progress: str) -> None:
    out = output.console()
    row = runs_history.row(entry, in_progress)
    out.print(
        f"{row.run}  {row.result}  by {row.by} ({row.trigger})  began {output.moment(row.began)}",
        markup=False,
    )
    out.print(row.message, markup=False)
    asked = {key: value for key, value in entry.get("request", {}).items() if value}
    out.print(f"asked for: {json.dumps(asked)}", markup=False)
    out.print(
        output.table(
            "VMs",
            ("VM", "from", "VM here", "RTO", "RPO", "failed"),
            [
                (
                    vm["name"] or vm["origin"],
                    vm["site"],
                    vm["here"],
                    output.seconds(vm["rto_s"]),
                    output.seconds(vm["rpo_s"]),
                    vm["failed"],
                )
                for vm in entry.get("vms", [])
            ],
        )
    )
    out.print(
        output.table(
            "Steps",
            ("step", "of", "took", "what came of it"),
            [
                (kind, target, output.seconds(seconds), said)
                for kind, target, seconds, said in runs_history.steps(entry)
            ],
        )
    )
    _failed(entry)


def _failed(entry: dict[str, Any]) -> None:
    for item, why in entry["failed"].items():
        output.console().print(f"  FAILED {item}: {why}", markup=False)
