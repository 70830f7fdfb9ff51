"""`onedr failover`: show what will be lost, ask, take over, show what came of it."""
from __future__ import annotations

import sys
from typing import Any

import click

from onedr.cli import output, run_action
from onedr.runs.request import Request


@click.command()
@click.argument("datastore")
@click.option(
    "--confirm",
    default="",
    metavar="NAME",
    help="The datastore's name, typed: needed unless the peer is proven gone.",
)
@click.option(
    "--vm", "vms", multiple=True, help="Only this VM (its name or id at the peer); may be repeated."
)
@click.option("--no-start", is_flag=True, help="Create the VMs on hold, start none.")
@click.option(
    "--dry-run", is_flag=True, help="Show recovery points, expected loss and steps; change nothing."
)
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def failover(
    datastore: str,
    confirm: str,
    vms: tuple[str, ...],
    no_start: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Let this site take over DATASTORE from its dead or cut-off peer."""
    asked = Request("failover", confirm=confirm, vms=vms, start=not no_start, dry_run=True)
    if not dry_run and not yes and not confirm and sys.stdin.isatty():
        run_action.present(datastore, asked, VIEWS)
        name = run_action.datastore_name(datastore)
        question = f"This site takes over. Type the datastore's name ({name}) to go on"
        confirm = click.prompt(question, default="", show_default=False)
        if confirm != name:
            raise click.Abort
    request = Request("failover", confirm=confirm, vms=vms, start=not no_start, dry_run=dry_run)
    run_action.present(datastore, request, VIEWS, as_json)


def _plan(event: dict[str, Any]) -> None:
    out = output.console()
    out.print(f"Peer: {event['peer']['state']} ({event['peer']['detail']}; {event['peer']['front_end']})")
    out.print(
        "A planned move: nothing is lost."
        if event["planned"]
        else "Not a planned move: what has not arrived is lost."
    )
    columns = ("VM", "from", "recovery point", "loss at most", "starts", "priority", "in the way")
    out.print(output.table("What comes back", columns, [
        (f"{vm['name']} ({vm['vm']})", vm["site"], output.moment(vm["recovery_point"]),
         output.seconds(vm["expected_loss_s"]) or "unknown", "yes" if vm["starts"] else "no", vm["priority"],
         vm["left_out"])
        for vm in event["vms"]
    ]))
    if output.refused(event):
        return
    output.steps(event)
    for priority, seconds in event.get("delays", {}).items():
        out.print(f"After the VMs of priority {priority} run: {seconds} s before the next are started.")
    in_table = {vm["origin"] for vm in event["vms"]}
    output.left_out({item: why for item, why in event["left_out"].items() if item not in in_table})
    output.notes(event)


def _verdict(event: dict[str, Any]) -> None:
    for item, warnings in event["warnings"].items():
        for warning in warnings:
            output.console().print(f"  note   {item}: {warning}", markup=False)
    output.verdict(event)


VIEWS = {"plan": _plan, "step": output.step, "verdict": _verdict}  # how the events of a move look to people
