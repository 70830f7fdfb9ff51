"""An interrupted run: `onedr resume`, `onedr abort`. One in progress: `onedr cancel` asks it to stop."""
from __future__ import annotations

import sys

import click

from onedr.cli import completion, output, run_action
from onedr.cli.reprotect import views as reprotect_views
from onedr.cli.takeover import views as failover_views
from onedr.runs.events import ProgressEvent
from onedr.runs.plan_events import FailoverPlanEvent
from onedr.runs.request import Request


def _views() -> output.Views:
    """Of any run that can be resumed; one of them happens."""
    return {**reprotect_views(), **failover_views()}


@click.command(short_help="Continue an interrupted run.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option(
    "--plan", "recovery_plan", default="", metavar="NAME",
    help="Go on by this recovery plan; none: by DR_PRIORITY alone.",
)
@click.option("--dry-run", is_flag=True, help="Show the remaining steps. Change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def resume(datastore: str, recovery_plan: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Continue the interrupted run of DATASTORE with its original request.

    The state of both sites is read again; completed steps are not repeated.
    """
    confirm, attributes = "", (("RECOVERY_PLAN", recovery_plan),) if recovery_plan else ()
    if not dry_run and not yes and sys.stdin.isatty():
        for event in run_action.events(datastore, Request("resume", dry_run=True, attributes=attributes)):
            output.present([event], _views())
            if isinstance(event, FailoverPlanEvent):  # what is answered is good for this plan only
                confirm = f"{event.datastore}:{event.digest}"
        click.confirm("Continue the run with these steps?", abort=True)
    asked = Request("resume", dry_run=dry_run, confirm=confirm, attributes=attributes)
    run_action.present(datastore, asked, _views(), as_json)


@click.command(short_help="Roll back an interrupted run.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def abort(datastore: str, yes: bool, as_json: bool) -> None:
    """Roll back the interrupted run of DATASTORE. Only possible before its first promotion.

    The peer gets its images and VMs back.
    """
    if not yes and sys.stdin.isatty():
        click.confirm("Give the peer back its images and VMs?", abort=True)
    run_action.present(datastore, Request("abort"), _views(), as_json)


@click.command(short_help="Ask a run in progress to stop.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def cancel(datastore: str, as_json: bool) -> None:
    """Ask the run in progress on DATASTORE, of this site or the other, to stop after its current step.

    Before its first promotion a move is rolled back; after it the run ends as INTERRUPTED.
    """
    run_action.present(datastore, Request("cancel"), {ProgressEvent: _said}, as_json)


def _said(event: ProgressEvent) -> None:
    output.line(event.message)
