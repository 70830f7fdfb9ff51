"""`onedr drill`: try a recovery on clones, show the evidence, take it away."""
from __future__ import annotations

import json
import shlex
import sys
from typing import Any

import click

from onedr.cli import output, run_action
from onedr.drill import report as drill_report
from onedr.opennebula.api import FrontEnd, number
from onedr.runs.request import Request


@click.group()
def drill() -> None:
    """Try a recovery on clones at the secondary site; production and replication are not touched."""


@drill.command()
@click.argument("datastore")
@click.option(
    "--vm", "vms", multiple=True, help="Only this VM (its name or id at the peer); may be repeated."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Each VM must take connections at this TCP port.")
@click.option(
    "--command",
    metavar="WORDS",
    help="Run this program for each VM; it is split into words, and no shell is run.",
)
@click.option("--dry-run", is_flag=True, help="Show the steps; change nothing.")
@click.option("--yes", is_flag=True, help="Skip the question (never the checks).")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def start(
    datastore: str,
    vms: tuple[str, ...],
    port: int | None,
    command: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Start the peer's VMs of DATASTORE here, from clones, in DR_DRILL_NETWORK.

    They stand until `onedr drill cleanup`.
    """
    asked: tuple[tuple[str, str], ...] = (("PORT", str(port)),) if port else ()
    try:
        asked += tuple(("COMMAND", word) for word in shlex.split(command or ""))
    except ValueError as error:
        raise click.BadParameter(f"{command!r} cannot be split into words: {error}") from error
    if not dry_run and not yes and sys.stdin.isatty():
        run_action.present(datastore, Request("drill", vms=vms, dry_run=True, attributes=asked), _VIEWS)
        click.confirm("Hold the drill", abort=True)
    run_action.present(
        datastore, Request("drill", vms=vms, dry_run=dry_run, attributes=asked), _VIEWS, as_json
    )


@drill.command()
@click.argument("datastore")
@click.option("--dry-run", is_flag=True, help="Show what would be removed; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Events as lines of JSON.")
def cleanup(datastore: str, dry_run: bool, as_json: bool) -> None:
    """Remove every drill of DATASTORE: VMs, images, clones, snapshots at both sites.

    Works after a crash, and again.
    """
    run_action.present(datastore, Request("drill_cleanup", dry_run=dry_run), _VIEWS, as_json)


@drill.command()
@click.argument("datastore")
@click.option("--json", "as_json", is_flag=True, help="The whole report.")
def report(datastore: str, as_json: bool) -> None:
    """Show the last drill of DATASTORE at this front-end and where its report lies."""
    found, kept = drill_report.last_report(number(FrontEnd().find_datastore(datastore), "ID"))
    if as_json:
        files = {"json": str(kept.json), "page": str(kept.html), "sha256": kept.digest}
        click.echo(json.dumps({**found, "files": files}, indent=2))
        return
    out = output.console()
    out.print(
        f"[bold]{found['result']}[/bold] {output.moment(found['began'])}, held by {found['by']['user']}",
        soft_wrap=True,
    )
    for reason in found["reasons"]:
        out.print(f"  {reason}", markup=False)
    rto = found["rto"]
    objective = output.seconds(rto["objective_s"]) or "none set"
    out.print(
        f"Recovery time: {output.seconds(rto['measured_s']) or 'not all came up'} (DR_RTO: {objective})"
    )
    out.print(
        output.table(
            "VMs",
            ("VM", "recovery point", "passed after", "result", "why"),
            [
                (
                    vm["name"],
                    output.moment(vm["recovery_point"]),
                    output.seconds(vm["passed_after_s"]),
                    vm["result"],
                    vm["why"],
                )
                for vm in found["vms"]
            ],
        )
    )
    done = found["cleanup"]
    out.print(
        "Not cleaned up yet: onedr drill cleanup."
        if done is None
        else f"Cleaned up {output.moment(done['at'])}."
    )
    out.print(f"{kept.html}\n{kept.json} (SHA-256 {kept.digest})", markup=False, soft_wrap=True)


def _plan(event: dict[str, Any]) -> None:
    out = output.console()
    if event["vms"]:
        out.print(
            output.table(
                f"What is tried, in network {event['network'] or '-'}",
                ("VM", "from", "recovery point now", "age", "starts", "in the way"),
                [
                    (
                        f"{vm['name']} ({vm['vm']})",
                        vm["site"],
                        output.moment(vm["recovery_point"]),
                        output.seconds(vm["age_s"]),
                        "yes" if vm["starts"] else "no",
                        vm["left_out"],
                    )
                    for vm in event["vms"]
                ],
            )
        )
    if output.refused(event):
        return
    output.steps(event)
    output.notes(event)


_VIEWS = {"plan": _plan, "step": output.step, "verdict": output.verdict}
