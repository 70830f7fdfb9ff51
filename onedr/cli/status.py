"""`onedr status`: state, VMs, disks, and what is not protected and why."""
from __future__ import annotations

import json
from typing import cast

import click
from rich.markup import escape

from onedr.cli import output, run_action
from onedr.runs.answer_events import StatusEvent, StatusVm
from onedr.runs.request import Request


@click.command(short_help="Show how a datastore is protected.")
@click.argument("datastore")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def status(datastore: str, as_json: bool) -> None:
    """Show how DATASTORE (name or id) is protected. Read-only; works while the peer is unreachable."""
    for event in run_action.events(datastore, Request("status")):
        if as_json:
            click.echo(json.dumps(event.to_json(), indent=2))
        else:
            _print(cast(StatusEvent, event))


def _print(event: StatusEvent) -> None:
    out = output.console()
    out.print(f"[bold]{escape(event.datastore)}[/bold]  {event.state}  ({event.role}, mode {event.mode})")
    out.print(event.message, markup=False)
    if event.run is not None:
        out.print(f"In progress: {event.run.text}", markup=False)
    peer = f"{event.peer.state}: {event.peer.detail}"
    out.print(f"protected {event.protected}/{event.total}; peer {peer}", markup=False)
    shown = ("VM", "site", "state there", "disks", "recovery point", "age", "rehearsed", "blocked by")
    out.print(output.table("VMs", shown, [
        (
            f"{vm.name} ({vm.vm})", "here" if vm.here else vm.site, vm.state, " ".join(vm.disks),
            output.moment(vm.recovery_point), output.seconds(vm.age_s), _rehearsed(vm),
            "; ".join(vm.obstacles),
        )
        for vm in event.vms
    ]))
    _rehearsals(event)
    columns = ("disk", "role", "mirrored", "copy", "recovery point", "age", "problems")
    out.print(output.table("Disks", columns, [
        (
            disk.name, disk.role, disk.mode, "complete" if disk.complete else "not complete",
            output.moment(disk.recovery_point), output.seconds(disk.age_s), "; ".join(disk.problems),
        )
        for disk in event.disks
    ]))
    if event.unprotected:
        out.print(output.table(
            "Not protected", ("item", "why"), [(item.name, item.reason) for item in event.unprotected]
        ))


def _rehearsed(vm: StatusVm) -> str | None:
    """When, and what came of it."""
    last = vm.rehearsal
    return None if last is None else f"{output.moment(last.at)} {last.result}"


def _rehearsals(event: StatusEvent) -> None:
    """What the last rehearsal of each VM found."""
    rows = [
        (f"{vm.name} ({vm.vm})", text)
        for vm in event.vms if vm.rehearsal is not None
        for text in (vm.rehearsal.why, *vm.rehearsal.differences) if text
    ]
    if rows:
        output.console().print(output.table("Found by the rehearsal", ("VM", "what"), rows))
