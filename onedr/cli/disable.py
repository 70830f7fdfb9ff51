"""`onedr disable`: make a protected datastore a stock one again."""
from __future__ import annotations

import sys

import click

from onedr.cli import completion, enable_output, run_action
from onedr.runs.request import Request


@click.command(short_help="End protection of a datastore.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--confirm", default="", metavar="NAME", help="The datastore's name, typed.")
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be done and what blocks it. Change nothing."
)
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def disable(datastore: str, confirm: str, yes: bool, dry_run: bool, as_json: bool) -> None:
    """End the protection of DATASTORE.

    The peer's copies are DELETED. VMs keep running, and nothing of OneDR remains on the images.
    """
    if yes and not dry_run:
        confirm = run_action.datastore_name(datastore)
    elif not dry_run and not confirm and sys.stdin.isatty():
        enable_output.present(run_action.events(datastore, Request("disable", dry_run=True)), as_json=False)
        name = run_action.datastore_name(datastore)
        question = f"The peer's copies are deleted. Type the datastore's name ({name}) to continue"
        confirm = click.prompt(question, default="", show_default=False)
        if confirm != name:
            raise click.Abort
    enable_output.present(
        run_action.events(datastore, Request("disable", confirm=confirm, dry_run=dry_run)), as_json
    )
