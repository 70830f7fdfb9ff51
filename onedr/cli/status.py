"""`onedr status`: state, VMs, disks, and what is not protected and why."""
from __future__ import annotations

import json
from typing import Any

import click

from onedr.cli import output, run_action
from onedr.runs.request import Request


@click.command()
@click.argument("datastore")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
def status(datastore: str, as_json: bool) -> None:
    """Show how DATASTORE (name or id) is protected. Reads only; works while the peer is dark."""
    for event in run_action.events(datastore, Request("status")):
        if as_json:
            click.echo(json.dumps(event, indent=2))
        else:
            _print(event)


def _print(event: dict[str, Any]) -> None:
    out = output.console()
    out.print(f"[bold]{event['datastore']}[/bold]  {event['state']}  ({event['role']}, mode {event['mode']})")
    out.print(f"{event['message']}")
    if event["run"]:
        out.print(f"In progress: {event['run']['text']}", markup=False)
    out.print(
        f"protected {event['protected']}/{event['total']}; peer {event['peer']['state']}: "
        f"{event['peer']['detail']}"
    )
    out.print(
        output.table(
            "VMs",
            ("VM", "site", "state there", "disks", "recovery point", "age", "in the way"),
            [
                (
                    f"{vm['name']} ({vm['vm']})",
                    "here" if vm["here"] else vm["site"],
                    vm["state"],
                    " ".join(vm["disks"]),
                    output.moment(vm["recovery_point"]),
                    output.seconds(vm["age_s"]),
                    "; ".join(vm["obstacles"]),
                )
                for vm in event["vms"]
            ],
        )
    )
    out.print(
        output.table(
            "Disks",
            ("disk", "role", "mirrored", "copy", "recovery point", "age", "problems"),
            [
                (
                    disk["name"],
                    disk["role"],
                    disk["mode"],
                    "complete" if disk["complete"] else "not complete",
                    output.moment(disk["recovery_point"]),
                    output.seconds(disk["age_s"]),
                    "; ".join(disk["problems"]),
                )
                for disk in event["disks"]
            ],
        )
    )
    if event["unprotected"]:
        out.print(
            output.table(
                "Not protected",
                ("item", "why"),
                [(item["name"], item["reason"]) for item in event["unprotected"]],
            )
        )
