"""`onedr kept`: what a site wrote that never reached its peer, saved by reprotect."""
from __future__ import annotations

import json
from dataclasses import asdict

import click

from onedr.cli import output
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.rejoin import reprotect


@click.command()
@click.argument("datastore")
@click.option(
    "--remove",
    "removed",
    default="",
    metavar="NAME",
    help="Remove this one, and what is held for it in the trash.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def kept(datastore: str, removed: str, as_json: bool) -> None:
    """List the kept copies of DATASTORE: of which disk and moment, until when, what only they hold, how to
    look at them.
    """
    target = datastores.from_element(FrontEnd().find_datastore(datastore))
    if removed:
        reprotect.remove_kept(target, removed)
    found = reprotect.kept_copies(target)
    if as_json:
        click.echo(
            json.dumps(
                [{**asdict(each), "look": _look(target.access.pool, each.name)} for each in found], indent=2
            )
        )
        return
    out = output.console()
    out.print(
        output.table(
            "Kept copies",
            ("name", "image", "VM", "taken", "expires", "holds at most", "MiB"),
            [
                (
                    each.name,
                    each.image,
                    each.vm,
                    output.moment(each.taken),
                    output.moment(each.expires),
                    output.seconds(each.loss_s) or "unknown",
                    each.size >> 20,
                )
                for each in found
            ],
        )
    )
    for each in found[:1]:
        out.print(
            f"To look at one: {_look(target.access.pool, each.name)}; mount it with -o ro,noload.",
            markup=False,
        )


def _look(pool: str, name: str) -> str:
    return f"rbd device map --read-only {pool}/{name}"
