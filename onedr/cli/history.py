"""`onedr history`: every run of a datastore at this site, kept for ever."""
from __future__ import annotations

import json
import time
from typing import Any

import click

from onedr.cli import show
from onedr.errors import InputError
from onedr.ops import protected
from onedr.policy import history as policy
from onedr.ports import ceph, journal
from onedr.ports.frontend import FrontEnd


@click.command()
@click.argument("datastore")
@click.argument("run", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole journal of every run, or of RUN (docs/history.md).")
def history(datastore: str, run: str | None, as_json: bool) -> None:
    """Show the runs of DATASTORE: when, who, what, how it ended, recovery time and loss. With RUN, its steps."""
    with ceph.connect(protected.from_element(FrontEnd().find_datastore(datastore)).access) as pool:
        runs = journal.load(pool)
        lease = journal.current(pool)
    alive = lease is not None and lease.alive(time.time())
    in_progress = next(reversed(runs), "") if alive else ""
    shown = {name: {**entry, "result": policy.result(entry, in_progress)} for name, entry in runs.items()}
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
    rows = [policy.row(entry, in_progress) for entry in runs.values()]
    show.console().print(show.table("Runs", columns, [
        (row.run, show.moment(row.began), f"{row.by} {row.trigger}", row.result, show.seconds(row.took_s),
         show.seconds(row.rto_s), show.seconds(row.rpo_s), row.message)
        for row in rows
    ]))
    for entry in list(runs.values())[-1:]:
        _failed(entry)


def _one(entry: dict[str, Any], in_progress: str) -> None:
    out = show.console()
    row = policy.row(entry, in_progress)
    out.print(f"{row.run}  {row.result}  by {row.by} ({row.trigger})  began {show.moment(row.began)}", markup=False)
    out.print(row.message, markup=False)
    asked = {key: value for key, value in entry.get("request", {}).items() if value}
    out.print(f"asked for: {json.dumps(asked)}", markup=False)
    out.print(show.table("VMs", ("VM", "from", "VM here", "RTO", "RPO", "failed"), [
        (vm["name"] or vm["origin"], vm["site"], vm["here"], show.seconds(vm["rto_s"]), show.seconds(vm["rpo_s"]), vm["failed"])
        for vm in entry.get("vms", [])
    ]))
    out.print(show.table("Steps", ("step", "of", "took", "what came of it"), [
        (kind, target, show.seconds(seconds), said) for kind, target, seconds, said in policy.steps(entry)
    ]))
    _failed(entry)


def _failed(entry: dict[str, Any]) -> None:
    for item, why in entry["failed"].items():
        show.console().print(f"  FAILED {item}: {why}", markup=False)
