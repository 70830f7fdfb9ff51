"""`onedr points`, `onedr point pin|unpin`: moments of which all disks of a VM hold the content at once."""
from __future__ import annotations

import json
from dataclasses import asdict
from typing import cast

import click

from onedr.cli import completion, output, run_action
from onedr.runs.point_events import PointsEvent, PointShown
from onedr.runs.request import Request

_VM = click.option(
    "--vm", "vms", multiple=True, shell_complete=completion.vms,
    help="Only this VM (name or id). Can be repeated.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command(short_help="Show the points in time of VMs.")
@click.argument("datastore", shell_complete=completion.datastores)
@_VM
@_JSON
def points(datastore: str, vms: tuple[str, ...], as_json: bool) -> None:
    """Show each VM's points in time: age, whether all disks have it at the peer, what it cost and holds."""
    _show(datastore, Request("points", vms=vms), as_json)


@click.group(short_help="Pin points in time, or unpin them.")
def point() -> None:
    """Keep points in time of VMs for longer than DR_POINTS says."""


@point.command(short_help="Keep a point until it is unpinned.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.argument("when")
@click.option("--why", default="", help="Why, in at most 100 characters; shown by onedr points.")
@click.option(
    "--until", default="",
    help="Lock it until this date (2027-01-31, or a moment in UTC): nothing takes it away before. The lock "
    "cannot be taken back or made shorter. After it DR_POINTS decides.",
)
@_VM
@_JSON
def pin(datastore: str, when: str, why: str, until: str, vms: tuple[str, ...], as_json: bool) -> None:
    """Pin the newest point of each VM that is not after WHEN.

    WHEN is a point's name, or a moment such as '2026-11-30 17:15 UTC'.
    """
    asked = (("PIN", when), ("WHY", why), *((("UNTIL", until),) if until else ()))
    _show(datastore, Request("points", vms=vms, attributes=asked), as_json)


@point.command(short_help="Let a pinned point go when its time is over.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.argument("when")
@_VM
@_JSON
def unpin(datastore: str, when: str, vms: tuple[str, ...], as_json: bool) -> None:
    """Take the pin off the newest point of each VM that is not after WHEN."""
    _show(datastore, Request("points", vms=vms, attributes=(("UNPIN", when),)), as_json)


@point.command(short_help="Copy a point of an image that was deleted at the other site.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.argument("copy")
@click.argument("when")
@_JSON
def recover(datastore: str, copy: str, when: str, as_json: bool) -> None:
    """Copy the newest point that is not after WHEN of a COPY that a lock holds in Ceph's trash.

    onedr points lists such copies. The COPY stays there; a new RBD image has the content.
    """
    asked = (("RECOVER", copy), ("AT", when))
    _show(datastore, Request("points", attributes=asked), as_json)


def _show(datastore: str, request: Request, as_json: bool) -> None:
    for event in run_action.events(datastore, request):
        found = cast(PointsEvent, event)
        if as_json:
            click.echo(json.dumps(asdict(found), indent=2))
        else:
            _print(found)


def _print(found: PointsEvent) -> None:
    out = output.console()
    columns = ("VM", "point", "age", "complete at the peer", "writers waited", "MiB held", "pinned")
    out.print(output.table("Points in time", columns, [
        (
            f"{vm.name} ({vm.vm} at {vm.site})", each.name, output.seconds(each.age_s),
            _complete(each, vm.here), output.seconds(each.stall_s),
            "unknown" if each.held is None else str(each.held >> 20), _pinned(each),
        )
        for vm in found.vms for each in vm.points
    ]))
    for vm in found.vms:
        if not vm.points:
            out.print(f"VM {vm.name} ({vm.vm} at {vm.site}) has no point.")
    for text in (found.message, *found.warnings):
        if text:
            out.print(text)


def _pinned(each: PointShown) -> str:
    return f"{each.pin} (locked until {each.locked})" if each.locked else each.pin


def _complete(each: PointShown, own: bool) -> str:
    if each.complete is None:
        return "unknown: the peer cannot be read"
    if each.complete:
        return "yes" if own else "yes (here)"
    return f"no: {', '.join(each.lacking)}"
