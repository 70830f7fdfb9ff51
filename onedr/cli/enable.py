"""`onedr enable`: protect a stock Ceph datastore while its VMs run."""
from __future__ import annotations

import click

from onedr.cli import completion, enable_output, run_action
from onedr.model.errors import InputError
from onedr.runs.request import Request


@click.command(short_help="Protect a stock Ceph datastore.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--mode", "DR_MODE", metavar="JOURNAL|SNAPSHOT", help="How RBD mirrors. Default: JOURNAL.")
@click.option("--schedule", "DR_SCHEDULE", metavar="5m", help="Interval of snapshots in SNAPSHOT mode.")
@click.option(
    "--clones",
    "DR_CLONES",
    metavar="PARENT|FLATTEN",
    help="Keep VM disks as thin clones of their base, or flatten them.",
)
@click.option("--site", "DR_SITE", metavar="NAME", help="Name of this site.")
@click.option("--site-index", "DR_SITE_INDEX", metavar="N", help="0, 1 or 2. Must differ between the sites.")
@click.option("--rpo", "DR_RPO", metavar="15m", help="Recovery point objective: how old a replica may be.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be done and what blocks it. Change nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def enable(datastore: str, dry_run: bool, as_json: bool, **given: str | None) -> None:
    """Protect the images and VM disks of the stock Ceph DATASTORE. No data is moved, no VM is stopped.

    Safe to run again, also after it was interrupted: it does what is missing.
    """
    strange = [
        f"--{key[3:].lower().replace('_', '-')}"
        for key, value in given.items()
        if value and not value.isprintable()
    ]
    if strange:
        raise InputError(f"{', '.join(strange)}: an attribute may only hold printable characters.")
    attributes = tuple((key.upper(), value) for key, value in given.items() if value is not None)
    request = Request("enable", dry_run=dry_run, attributes=attributes)
    enable_output.present(run_action.events(datastore, request), as_json)
