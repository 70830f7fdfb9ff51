"""`onedr history`: every run of a datastore at this site."""
from __future__ import annotations

import json

import click

from onedr.cli import show
from onedr.ops import protected
from onedr.ports import ceph, journal
from onedr.ports.frontend import FrontEnd


@click.command()
@click.argument("datastore")
@click.option("--json", "as_json", is_flag=True, help="The whole journal of every run.")
def history(datastore: str, as_json: bool) -> None:
    """Show the runs of DATASTORE: when, who, how it ended."""
    with ceph.connect(protected.from_element(FrontEnd().find_datastore(datastore)).access) as pool:
        runs = journal.load(pool)
    if as_json:
        click.echo(json.dumps(runs, indent=2))
        return
    out = show.console()
    out.print(show.table("Runs", ("run", "began", "by", "result", "message"), [
        (run_id, show.moment(run["began"]), run["owner"].split(":")[0], run["result"], run["message"])
        for run_id, run in runs.items()
    ]))
    for run in list(runs.values())[-1:]:
        for item, why in run["failed"].items():
            out.print(f"  FAILED {item}: {why}", markup=False)
