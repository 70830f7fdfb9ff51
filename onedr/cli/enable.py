"""`onedr enable`: protect a stock Ceph datastore as it is, with its VMs running."""
from __future__ import annotations

import click

from onedr.cli import enable_output, run_action
from onedr.model.errors import InputError
from onedr.runs.request import Request


@click.command()
@click.argument("datastore")
@click.option("--mode", "DR_MODE", metavar="JOURNAL|SNAPSHOT", help="How RBD mirrors; JOURNAL unless set.")
@click.option("--schedule", "DR_SCHEDULE", metavar="5m", help="Between mirror snapshots, in SNAPSHOT mode.")
@click.option(
    "--clones",
    "DR_CLONES",
    metavar="PARENT|FLATTEN",
    help="VM disks stay thin on their base, or are flattened.",
)
@click.option("--site", "DR_SITE", metavar="NAME", help="What people call this site.")
@click.option("--site-index", "DR_SITE_INDEX", metavar="N", help="0, 1 or 2; must differ between the sites.")
@click.option("--rpo", "DR_RPO", metavar="15m", help="Objective: how old a copy may be.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be done and what is in the way; change nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def enable(datastore: str, dry_run: bool, as_json: bool, **given: str | None) -> None:
    """Protect the stock Ceph DATASTORE: its images and its VMs' disks, without moving data or stopping a VM.

    Safe to run again, also after it was killed; it goes on with what is missing.
    """
    strange = [
        f"--{key[3:].lower().replace('_', '-')}"
        for key, value in given.items()
        if value and not value.isprintable()
    ]
    if strange:
        raise InputError(f"{', '.join(strange)}: only printable characters can stand in an attribute.")
    attributes = tuple((key.upper(), value) for key, value in given.items() if value is not None)
    request = Request("enable", dry_run=dry_run, attributes=attributes)
    enable_output.present(run_action.events(datastore, request), as_json)
