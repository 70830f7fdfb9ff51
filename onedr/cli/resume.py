"""Runs under way or dead: `onedr resume` goes on, `onedr abort` takes back, `onedr cancel` asks a living one
to stop.
"""
from __future__ import annotations

import sys

import click

from onedr.cli import output, run_action
from onedr.cli.failover import VIEWS
from onedr.runs.request import Request


@click.command()
@click.argument("datastore")
@click.option("--dry-run", is_flag=True, help="Show what is left to do; change nothing.")
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def resume(datastore: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Go on with the interrupted run of DATASTORE, as it was asked for: facts are gathered anew, nothing is
    done twice.
    """
    if not dry_run and not yes and sys.stdin.isatty():
        run_action.present(datastore, Request("resume", dry_run=True), VIEWS)
        click.confirm("The run goes on with these steps. Go on?", abort=True)
    run_action.present(datastore, Request("resume", dry_run=dry_run), VIEWS, as_json)


@click.command()
@click.argument("datastore")
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def abort(datastore: str, yes: bool, as_json: bool) -> None:
    """Take back the interrupted run of DATASTORE, if it has promoted nothing yet: the peer gets its images
    and VMs back.
    """
    if not yes and sys.stdin.isatty():
        click.confirm("The peer gets back what the interrupted run took from it. Go on?", abort=True)
    run_action.present(datastore, Request("abort"), VIEWS, as_json)


@click.command()
@click.argument("datastore")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def cancel(datastore: str, as_json: bool) -> None:
    """Ask the run in progress on DATASTORE, of this site or the other, to stop after the step it is in.

    Before its first promotion a move is rolled back; after it the run ends as INTERRUPTED.
    """
    views: output.Views = {"progress": lambda event: click.echo(event["message"])}
    run_action.present(datastore, Request("cancel"), views, as_json)
