"""What `onedr move`, `failover` and `failback` have in common: options, the plan, the question."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypedDict

import click

from onedr.cli import completion, output, run_action, run_view
from onedr.cli.run_view import RunView
from onedr.model.errors import InputError, OneDRError
from onedr.runs.plan_events import FailoverPlanEvent, FailoverVm
from onedr.runs.request import Request

_OPTIONS = (
    click.argument("datastore", required=False, shell_complete=completion.datastores),
    click.option(
        "--all", "every", is_flag=True,
        help="Every protected datastore, one after another by name. One that fails stops no other.",
    ),
    click.option(
        "--vm", "vms", multiple=True, help="Only this VM (name or id at the peer). Can be repeated."
    ),
    click.option(
        "--leave", multiple=True, metavar="VM|IMAGE",
        help="Leave this VM (name or id at the peer) or RBD image where it is. Can be repeated.",
    ),
    click.option(
        "--take", multiple=True, metavar="IMAGE",
        help="Demote this RBD image although something that does not move is read through it. Can be "
        "repeated.",
    ),
    click.option(
        "--accept-unsigned", is_flag=True,
        help="Believe records too that are unsigned, forged or dated ahead. Look first: --dry-run.",
    ),
    click.option(
        "--plan", "recovery_plan", default="", metavar="NAME",
        help="Start the VMs by this recovery plan instead of DR_RECOVERY_PLAN; none: by DR_PRIORITY alone.",
    ),
    click.option("--no-start", is_flag=True, help="Start none of the VMs."),
    click.option("--dry-run", is_flag=True, help="Show the plan and what it may lose. Change nothing."),
    click.option("--yes", is_flag=True, help="Do not ask. The checks are still made."),
    click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON."),
)
Command = Callable[..., None]


class TakeoverOptions(TypedDict):
    """What click passes for `options`, without the datastore."""

    every: bool
    vms: tuple[str, ...]
    leave: tuple[str, ...]
    take: tuple[str, ...]
    accept_unsigned: bool
    recovery_plan: str
    no_start: bool
    dry_run: bool
    yes: bool
    as_json: bool


def options(command: Command) -> Command:
    """The options that the three commands share."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request(verb: str, given: TakeoverOptions, **more: Any) -> Request:
    """What was asked for on the command line."""
    asked = Request(
        verb, vms=given["vms"], start=not given["no_start"], dry_run=given["dry_run"],
        accept_unsigned=given["accept_unsigned"], **more,
    )
    lists = [*(("LEAVE", word) for word in given["leave"]), *(("TAKE", word) for word in given["take"])]
    plan = (("RECOVERY_PLAN", given["recovery_plan"]),) if given["recovery_plan"] else ()
    return replace(asked, attributes=(*asked.attributes, *lists, *plan))


def show_plan(datastore: str, asked: Request, as_json: bool = False) -> FailoverPlanEvent:
    """Show the plan as it would be once confirmed. Raises what refuses it."""
    shown = None
    for event in run_action.events(datastore, replace(asked, dry_run=True)):
        if isinstance(event, FailoverPlanEvent):
            shown = event
        output.present([event], views(), as_json)
    if shown is None:
        raise OneDRError("the action showed no plan")
    return shown


def named(datastore: str | None) -> str:
    """The datastore that was named. Raises InputError when none was, and --all was not given."""
    if datastore is None:
        raise InputError("Name a datastore, or give --all.")
    return datastore


def ask(datastore: str, asked: Request, question: str, typed: bool) -> Request:
    """Show the plan and ask; the confirmation is good for the plan that was shown only. `typed`: the answer
    is the datastore's name, not y.
    """
    plan = show_plan(datastore, asked)
    name = plan.datastore
    if typed:
        text = f"{question} Type the datastore's name ({name}) to continue"
        if click.prompt(text, default="", show_default=False) != name:
            raise click.Abort
    else:
        click.confirm(question, abort=True)
    return replace(asked, confirm=f"{name}:{plan.digest}")


def _plan(event: FailoverPlanEvent) -> None:
    out = output.console()
    out.print(event.seen)
    what = "Move: no data will be lost."
    if not event.planned:
        what = f"Failover: writes not yet replicated will be lost. Fence: {event.fence}."
    out.print(what)
    if event.last_seen is not None and not event.planned:
        out.print(
            f"The other site was last seen at {output.moment(event.last_seen)}. `loss` is what is missing if "
            "it stopped then, bytes at most; `at most` counts to now.",
        )
    columns = ("VM", "from", "recovery point", "loss", "RPO at most", "RTO in drills", "starts")
    points = [vm for vm in event.vms if vm.newest_point is not None]
    if points and not event.planned:
        out.print(
            "The newest data of a VM's disks may be up to 0.4 s apart. Newest point of one instant (--point "
            "newest): " + ", ".join(f"{vm.name} ({vm.vm}) {output.moment(vm.newest_point)}" for vm in points),
        )
    out.print(output.table("VMs", columns, [
        (f"{vm.name} ({vm.vm})", vm.site, output.moment(vm.recovery_point),
         *_losses(vm, event.planned), output.seconds(vm.drill_rto_s),
         _starts(vm))
        for vm in event.vms
    ]))
    output.blocked(event.vms)
    if event.recovery_plan:
        out.print(f"VMs start by the recovery plan {event.recovery_plan}; others after them by priority.")
    if event.steps:
        output.steps(event.steps)
        for called, seconds in event.delays.items():
            which = f"priority {called}" if called.isdecimal() else called
            out.print(f"After the VMs of {which} run: wait {seconds} s before starting the next.")
    in_table = {vm.origin for vm in event.vms}
    output.left_out({item: why for item, why in event.left_out.items() if item not in in_table})
    output.notes(event)
    if not event.refusal:
        out.print(f"Confirmation of this plan: {event.datastore}:{event.digest}")


def _starts(vm: FailoverVm) -> str:
    if not vm.starts:
        return "no"
    return f"group {vm.group}" if vm.group else f"priority {vm.priority}"


def _losses(vm: FailoverVm, planned: bool) -> tuple[str, str]:
    if planned:
        return "0 s", "0 s"
    return output.lost(vm.seen_loss_s, vm.seen_loss_bytes), output.seconds(vm.expected_loss_s) or "unknown"


def views() -> output.Views:
    """How the events of a move, failover, failback, resume or abort look to people."""
    run = RunView()

    def plan(event: FailoverPlanEvent) -> None:
        run.plan(event)
        _plan(event)

    return {FailoverPlanEvent: plan, **run_view.views(run)}
