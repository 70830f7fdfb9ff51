"""`onedr failback`: bring home what the peer runs, without loss; show the steps, ask, go."""
from __future__ import annotations

import sys

import click

from onedr.cli import run_action
from onedr.cli.failover import VIEWS
from onedr.runs.request import Request


@click.command()
@click.argument("datastore")
@click.option(
    "--vm", "vms", multiple=True, help="Only this VM (its name or id at the peer); may be repeated."
)
@click.option("--no-start", is_flag=True, help="Give the VMs their disks back, start none.")
@click.option("--dry-run", is_flag=True, help="Show the steps; change nothing.")
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def failback(
    datastore: str, vms: tuple[str, ...], no_start: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Bring home what the peer runs in DATASTORE: its VMs stop there and start here, under their old ids.

    Run it at home.
    """
    if not dry_run and not yes and sys.stdin.isatty():
        run_action.present(datastore, Request("failback", vms=vms, start=not no_start, dry_run=True), VIEWS)
        click.confirm("The VMs named above stop at the peer and start here. Go on?", abort=True)
    run_action.present(
        datastore, Request("failback", vms=vms, start=not no_start, dry_run=dry_run), VIEWS, as_json
    )
