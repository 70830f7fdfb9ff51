"""`onedr failover`: show what would be lost, ask, take over, show the result."""
from __future__ import annotations

import sys

import click

from onedr.cli import output, run_action
from onedr.runs.events import StepEvent, VerdictEvent
from onedr.runs.plan_events import FailoverPlanEvent
from onedr.runs.request import Request


@click.command(short_help="Take over a datastore from its peer.")
@click.argument("datastore")
@click.option(
    "--confirm",
    default="",
    metavar="NAME",
    help="The datastore's name, typed. Needed unless the peer is proven gone.",
)
@click.option(
    "--vm", "vms", multiple=True, help="Only this VM (name or id at the peer). Can be repeated."
)
@click.option("--no-start", is_flag=True, help="Create the VMs on hold; start none of them.")
@click.option(
    "--dry-run", is_flag=True, help="Show recovery points, expected loss and steps. Change nothing."
)
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def failover(
    datastore: str,
    confirm: str,
    vms: tuple[str, ...],
    no_start: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Let this site take over DATASTORE.

    With both sites alive this is a planned move, which loses nothing. With the peer down it is a disaster
    failover: writes not yet replicated are lost.
    """
    asked = Request("failover", confirm=confirm, vms=vms, start=not no_start, dry_run=True)
    if not dry_run and not yes and not confirm and sys.stdin.isatty():
        run_action.present(datastore, asked, VIEWS)
        name = run_action.datastore_name(datastore)
        question = f"This site takes over. Type the datastore's name ({name}) to continue"
        confirm = click.prompt(question, default="", show_default=False)
        if confirm != name:
            raise click.Abort
    request = Request("failover", confirm=confirm, vms=vms, start=not no_start, dry_run=dry_run)
    run_action.present(datastore, request, VIEWS, as_json)


def _plan(event: FailoverPlanEvent) -> None:
    out = output.console()
    out.print(f"Peer: {event.peer.state} ({event.peer.detail}; {event.peer.front_end})")
    out.print(
        "Planned move: no data will be lost."
        if event.planned
        else "Disaster failover: writes not yet replicated will be lost."
    )
    columns = ("VM", "from", "recovery point", "loss at most", "starts", "priority", "blocked by")
    out.print(output.table("VMs", columns, [
        (f"{vm.name} ({vm.vm})", vm.site, output.moment(vm.recovery_point),
         output.seconds(vm.expected_loss_s) or "unknown", "yes" if vm.starts else "no", vm.priority,
         vm.left_out)
        for vm in event.vms
    ]))
    if output.refused(event.refusal):
        return
    output.steps(event.steps)
    for priority, seconds in event.delays.items():
        out.print(f"After the VMs of priority {priority} run: wait {seconds} s before starting the next.")
    in_table = {vm.origin for vm in event.vms}
    output.left_out({item: why for item, why in event.left_out.items() if item not in in_table})
    output.notes(event)


# how the events of a failover, failback, resume or abort look to people
VIEWS: output.Views = {FailoverPlanEvent: _plan, StepEvent: output.step, VerdictEvent: output.verdict}
