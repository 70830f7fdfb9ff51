"""`onedr failback`: return VMs from the peer to their home site, without loss."""
from __future__ import annotations

import sys

import click

from onedr.cli import run_action
from onedr.cli.failover import VIEWS
from onedr.runs.request import Request


@click.command(short_help="Return VMs to this site without loss.")
@click.argument("datastore")
@click.option(
    "--vm", "vms", multiple=True, help="Only this VM (name or id at the peer). Can be repeated."
)
@click.option("--no-start", is_flag=True, help="Give the VMs their disks back; start none of them.")
@click.option("--dry-run", is_flag=True, help="Show the steps. Change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def failback(
    datastore: str, vms: tuple[str, ...], no_start: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Return the VMs of DATASTORE from the peer to this site.

    They stop at the peer and start here under their old ids. Run it at the VMs' home site.
    """
    if not dry_run and not yes and sys.stdin.isatty():
        run_action.present(datastore, Request("failback", vms=vms, start=not no_start, dry_run=True), VIEWS)
        click.confirm("The VMs named above stop at the peer and start here. Continue?", abort=True)
    run_action.present(
        datastore, Request("failback", vms=vms, start=not no_start, dry_run=dry_run), VIEWS, as_json
    )
