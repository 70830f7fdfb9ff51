"""`onedr reconcile`: repair now what hooks missed."""
from __future__ import annotations

import json

import click

from onedr.cli import runner
from onedr.ops.action import Request


@click.command()
@click.argument("datastore")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def reconcile(datastore: str, as_json: bool) -> None:
    """Mirror and record everything of DATASTORE that is not yet; safe at any time."""
    for event in runner.events(datastore, Request("reconcile")):
        if as_json:
            click.echo(json.dumps(event))
            continue
        counts = (len(event["mirrored"]), len(event["recorded"]), len(event["protected"]))
        click.echo("{} mirrored, {} record(s) written, {} begun".format(*counts))
        for name in event["flattened"]:
            click.echo(f"  {name}: flattened")
        for name, reason in {**event["waiting"], **event["failed"]}.items():
            click.echo(f"  {name}: {reason}")
