"""`onedr kept`: what a site wrote that never reached its peer, preserved by reprotect."""
from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import cast

import click

from onedr.cli import completion, output, run_action
from onedr.runs.answer_events import KeptEvent, PreservedCopyShown
from onedr.runs.request import Request


@click.command(short_help="List copies preserved by reprotect.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option(
    "--remove", "removed", default="", metavar="NAME",
    help="Remove this copy, and what the trash holds for it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def kept(datastore: str, removed: str, as_json: bool) -> None:
    """List preserved copies: source disk, time taken, expiry, unreplicated seconds, and how to mount one."""
    attributes = (("REMOVE", removed),) if removed else ()
    for event in run_action.events(datastore, Request("kept", attributes=attributes)):
        copies = cast(KeptEvent, event).copies
        if as_json:
            click.echo(json.dumps([asdict(each) for each in copies], indent=2))
        else:
            _print(copies)


def _print(copies: Sequence[PreservedCopyShown]) -> None:
    out = output.console()
    columns = ("name", "image", "VM", "taken", "expires", "only here at most", "MiB")
    out.print(output.table("Preserved copies", columns, [
        (
            each.name, each.image, each.vm, output.moment(each.taken),
            "at --commit or --undo" if each.point else output.moment(each.expires),
            output.seconds(each.loss_s) or "unknown", each.size >> 20,
        )
        for each in copies
    ]))
    for each in copies[:1]:
        out.print(f"To look at one: {each.look}; mount it with -o ro,noload.")
