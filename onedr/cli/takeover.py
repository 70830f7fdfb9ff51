"""What `onedr move`, `failover` and `failback` have in common: options, the plan, the question."""
from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from onedr.cli import output, run_action
from onedr.runs.request import Request

_OPTIONS = (
    click.argument("datastore"),
    click.option("--vm", "vms", multiple=True, help="Only this VM (name or id at the peer); repeatable."),
    click.option(
        "--leave", multiple=True, metavar="VM|IMAGE",
        help="Leave this VM (name or id at the peer) or RBD image where it is; repeatable.",
    ),
    click.option(
        "--take", multiple=True, metavar="IMAGE",
        help="Demote this RBD image although something that does not move is read through it; repeatable.",
    ),
    click.option("--no-start", is_flag=True, help="Start no VM."),
    click.option("--dry-run", is_flag=True, help="Show the plan and what it may lose; change nothing."),
    click.option("--yes", is_flag=True, help="Do not show the plan first, ask nothing (never skips checks)."),
    click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON."),
)
Command = Callable[..., None]


def options(command: Command) -> Command:
    """The options that the three commands share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request(verb: str, given: dict[str, Any], **more: Any) -> Request:
    """What was asked for on the command line."""
    asked = Request(verb, vms=given["vms"], start=not given["no_start"], dry_run=given["dry_run"], **more)
    lists = [(key.upper(), word) for key in ("leave", "take") for word in given[key]]
    return replace(asked, attributes=(*asked.attributes, *lists))


def show_plan(datastore: str, asked: Request) -> dict[str, Any]:
    """Show the plan as it would be once confirmed; its event. A refusal ends the command."""
    shown: dict[str, Any] = {}
    for event in run_action.events(datastore, replace(asked, dry_run=True)):
        if event["event"] == "plan":
            shown = event
        output.present([event], VIEWS)
    if shown.get("refusal"):
        sys.exit(2)
    return shown


def ask(datastore: str, asked: Request, question: str, typed: bool) -> Request:
    """Show the plan and ask; the confirmation is good for the plan that was shown only. `typed`: the answer
    is the datastore's name, not y.
    """
    plan = show_plan(datastore, asked)
    name = plan["datastore"]
    if typed:
        answer = click.prompt(f"{question} Type the datastore's name ({name}) to go on", default="",
                              show_default=False)
        if answer != name:
            raise click.Abort
    else:
        click.confirm(question, abort=True)
    return replace(asked, confirm=f"{name}:{plan['digest']}")


def _plan(event: dict[str, Any]) -> None:
    out = output.console()
    out.print(event["seen"], markup=False)
    out.print(
        "A move: nothing is lost."
        if event["planned"]
        else f"A failover: what has not arrived here is lost. Fence: {event['fence']}.", markup=False
    )
    columns = ("VM", "from", "recovery point", "loss at most", "starts", "priority", "in the way")
    out.print(output.table("What comes here", columns, [
        (f"{vm['name']} ({vm['vm']})", vm["site"], output.moment(vm["recovery_point"]),
         "none" if event["planned"] else output.seconds(vm["expected_loss_s"]) or "unknown",
         "yes" if vm["starts"] else "no", vm["priority"], vm["left_out"])
        for vm in event["vms"]
    ]))
    refused = output.refused(event)
    if event["steps"]:
        output.steps(event)
        for priority, seconds in event.get("delays", {}).items():
            out.print(f"After the VMs of priority {priority} run: {seconds} s before the next are started.")
    in_table = {vm["origin"] for vm in event["vms"]}
    output.left_out({item: why for item, why in event["left_out"].items() if item not in in_table})
    output.notes(event)
    if not refused:
        out.print(f"Confirmation of this plan: {event['datastore']}:{event['digest']}", markup=False)


def _verdict(event: dict[str, Any]) -> None:
    for item, warnings in event["warnings"].items():
        for warning in warnings:
            output.console().print(f"  note   {item}: {warning}", markup=False)
    output.verdict(event)


VIEWS = {"plan": _plan, "step": output.step, "verdict": _verdict}  # how the events of a move look to people
