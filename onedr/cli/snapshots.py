"""`onedr snapshots`: what snapshots the disks have, and which of them OpenNebula here lists."""
from __future__ import annotations

import json
from dataclasses import asdict
from typing import cast

import click

from onedr.cli import completion, output, run_action
from onedr.runs.answer_events import SnapshotsEvent
from onedr.runs.request import Request


@click.command(short_help="Show disk snapshots; list those that are not.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option(
    "--list", "listing", is_flag=True,
    help="First list those that are not: of images that no VM uses, and of VMs that are powered off.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def snapshots(datastore: str, listing: bool, as_json: bool) -> None:
    """Show each snapshot of each disk: number, name in OpenNebula here, when it was made, size."""
    attributes = (("LIST", "YES"),) if listing else ()
    for event in run_action.events(datastore, Request("snapshots", attributes=attributes)):
        found = cast(SnapshotsEvent, event)
        if as_json:
            click.echo(json.dumps(asdict(found), indent=2))
        else:
            _print(found)


def _print(found: SnapshotsEvent) -> None:
    out = output.console()
    out.print(output.table("Disk snapshots", ("disk", "whose", "number", "name here", "made", "MiB"), [
        (
            each.disk, each.whose, str(each.number), "not listed" if each.called is None else each.called,
            "does not exist" if each.made is None else output.moment(each.made),
            "" if each.size is None else str(each.size >> 20),
        )
        for each in found.snapshots
    ]))
    for text in found.warnings:
        out.print(text)
    for each in found.snapshots:
        if each.revert:
            out.print(f"To revert to one that is not listed, with its VM off: {each.revert}")
            return
