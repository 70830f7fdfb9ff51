"""`onedr failback`: a move home; the VMs take their disks back under their old ids."""
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from onedr.cli import move, takeover

if TYPE_CHECKING:
    from typing_extensions import Unpack


@click.command(short_help="Move a datastore back home without loss")
@takeover.options
@move.CONFIRM
def failback(datastore: str | None, confirm: str, **given: Unpack[takeover.TakeoverOptions]) -> None:
    """Move home what the peer runs in DATASTORE: its VMs stop there and start here, under their old ids.

    Run it at home. Nothing is lost, or nothing is changed.
    """
    move.run("failback", datastore, confirm, given)
