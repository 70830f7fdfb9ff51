"""`onedr failover`: show what will be lost, ask, take over, show what came of it."""
from __future__ import annotations

import json
import sys
from typing import Any

import click

from onedr.cli import runner, show
from onedr.ops.action import Request


@click.command()
@click.argument("datastore")
@click.option("--confirm", default="", metavar="NAME", help="The datastore's name, typed: needed unless the peer is proven gone.")
@click.option("--vm", "vms", multiple=True, help="Only this VM (its name or id at the peer); may be repeated.")
@click.option("--no-start", is_flag=True, help="Create the VMs on hold, start none.")
@click.option("--dry-run", is_flag=True, help="Show recovery points, expected loss and steps; change nothing.")
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def failover(
    datastore: str, confirm: str, vms: tuple[str, ...], no_start: bool, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Let this site take over DATASTORE from its dead or cut-off peer."""
    asked = Request("failover", confirm=confirm, vms=vms, start=not no_start, dry_run=True)
    if not dry_run and not yes and not confirm and sys.stdin.isatty():
        for event in runner.events(datastore, asked):
            print_event(event)
        name = runner.datastore_name(datastore)
        question = f"This site takes over. Type the datastore's name ({name}) to go on"
        confirm = click.prompt(question, default="", show_default=False)
        if confirm != name:
            raise click.Abort
    request = Request("failover", confirm=confirm, vms=vms, start=not no_start, dry_run=dry_run)
    for event in runner.events(datastore, request):
        if as_json:
            click.echo(json.dumps(event))
        else:
            print_event(event)


def print_event(event: dict[str, Any]) -> None:
    """One event of a move, for people."""
    {"plan": _plan, "step": _step, "verdict": _verdict}[event["event"]](event)


def _plan(event: dict[str, Any]) -> None:
    out = show.console()
    out.print(f"Peer: {event['peer']['state']} ({event['peer']['detail']}; {event['peer']['front_end']})")
    out.print("A planned move: nothing is lost." if event["planned"] else "Not a planned move: what has not arrived is lost.")
    columns = ("VM", "from", "recovery point", "loss at most", "starts", "priority", "in the way")
    out.print(show.table("What comes back", columns, [
        (f"{vm['name']} ({vm['vm']})", vm["site"], show.moment(vm["recovery_point"]),
         show.seconds(vm["expected_loss_s"]) or "unknown", "yes" if vm["starts"] else "no", vm["priority"],
         vm["left_out"])
        for vm in event["vms"]
    ]))
    if event["refusal"]:
        out.print(f"[bold]Refused:[/bold] {event['refusal']}")
        return
    out.print(show.table("Steps", ("#", "step", "limit"), [
        (number, step["text"], f"{step['limit_s']} s") for number, step in enumerate(event["steps"], 1)
    ]))
    for priority, seconds in event.get("delays", {}).items():
        out.print(f"After the VMs of priority {priority} run: {seconds} s before the next are started.")
    left = {item: why for item, why in event["left_out"].items() if item not in {vm["origin"] for vm in event["vms"]}}
    for item, why in left.items():
        out.print(f"Left out: {item}: {why}")
    for vm in event["vms"]:
        for warning in vm["warnings"]:
            out.print(f"Note: VM {vm['name']}: {warning}", markup=False)


def _step(event: dict[str, Any]) -> None:
    mark = "ok" if event["result"] == "done" else "FAILED"
    show.console().print(f"  {mark:6} {event['text']}: {event['detail']} ({event['seconds']:.1f} s)", markup=False)


def _verdict(event: dict[str, Any]) -> None:
    out = show.console()
    for item, warnings in event["warnings"].items():
        for warning in warnings:
            out.print(f"  note   {item}: {warning}", markup=False)
    for item, why in event["failed"].items():
        out.print(f"  FAILED {item}: {why}", markup=False)
    out.print(f"[bold]{event['state']}[/bold] {event['message']}")
