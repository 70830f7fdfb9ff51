"""`onedr drill`: rehearse a recovery on clones, show the evidence, remove it."""
from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from typing import cast

import click

from onedr.cli import completion, output, run_action, run_view
from onedr.cli.run_view import RunView
from onedr.model.json_form import Json
from onedr.runs.answer_events import DrillReportEvent
from onedr.runs.plan_events import DrillPlanEvent
from onedr.runs.request import Request


@click.group(short_help="Rehearse a recovery on isolated clones.")
def drill() -> None:
    """Rehearse a recovery on clones at the secondary site. Production and replication are not touched."""


@drill.command(short_help="Start the VMs on clones.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option(
    "--vm", "vms", multiple=True, help="Only this VM (name or id at the peer). Can be repeated."
)
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Check that each VM accepts connections at this TCP port."
)
@click.option(
    "--command",
    metavar="WORDS",
    help="Run this program for each VM. It is split into words; no shell is involved.",
)
@click.option(
    "--point", default="", metavar="WHEN",
    help="Start the VMs as of their newest point in time that is not after WHEN, or `newest`.",
)
@click.option(
    "--plan", "recovery_plan", default="", metavar="NAME",
    help="Start the VMs by this recovery plan instead of DR_RECOVERY_PLAN; none: by DR_PRIORITY alone.",
)
@click.option("--dry-run", is_flag=True, help="Show the steps. Change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. The checks are still made.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def start(
    datastore: str,
    vms: tuple[str, ...],
    port: int | None,
    command: str | None,
    point: str,
    recovery_plan: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Start the peer's VMs of DATASTORE here, from clones, in DR_DRILL_NETWORK.

    They run until `onedr drill cleanup`.
    """
    asked: tuple[tuple[str, str], ...] = (("PORT", str(port)),) if port else ()
    try:
        asked += (("POINT", point),) if point else ()
        asked += (("RECOVERY_PLAN", recovery_plan),) if recovery_plan else ()
        asked += tuple(("COMMAND", word) for word in shlex.split(command or ""))
    except ValueError as error:
        raise click.BadParameter(f"{command!r} cannot be split into words: {error}") from error
    if not dry_run and not yes and sys.stdin.isatty():
        run_action.present(datastore, Request("drill", vms=vms, dry_run=True, attributes=asked), _views())
        click.confirm("Start the drill?", abort=True)
    run_action.present(
        datastore, Request("drill", vms=vms, dry_run=dry_run, attributes=asked), _views(), as_json
    )


@drill.command(short_help="Remove all drills of a datastore.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--dry-run", is_flag=True, help="Show what would be removed. Change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print events as lines of JSON.")
def cleanup(datastore: str, dry_run: bool, as_json: bool) -> None:
    """Remove all drills of DATASTORE: VMs, images, clones, and snapshots at both sites.

    Works after a crash, and can be repeated.
    """
    run_action.present(datastore, Request("drill_cleanup", dry_run=dry_run), _views(), as_json)


@drill.command(short_help="Show the last drill's report.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--json", "as_json", is_flag=True, help="Print the whole report.")
def report(datastore: str, as_json: bool) -> None:
    """Show the last drill of DATASTORE at this front-end, and where its report is."""
    for event in run_action.events(datastore, Request("drill_report")):
        told = cast(DrillReportEvent, event)
        if as_json:
            click.echo(json.dumps({**told.report, "files": told.files}, indent=2))
        else:
            _report(told.report, told.files)


def _report(found: Json, files: Mapping[str, str]) -> None:
    out = output.console()
    by = f"{output.moment(found['began'])}, run by {found['by']['user']}"
    out.print(output.styled(found["result"]), by, soft_wrap=True)
    for reason in found["reasons"]:
        out.print(f"  {reason}")
    rto = found["rto"]
    objective = output.seconds(rto["objective_s"]) or "none set"
    out.print(
        f"Recovery time: {output.seconds(rto['measured_s']) or 'not all VMs started'} (DR_RTO: {objective})"
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
        "Not cleaned up yet; run onedr drill cleanup."
        if done is None
        else f"Cleaned up {output.moment(done['at'])}."
    )
    out.print(files["page"], soft_wrap=True)
    out.print(f"{files['json']} (SHA-256 {files['sha256']})", soft_wrap=True)


def _plan(event: DrillPlanEvent) -> None:
    out = output.console()
    if event.vms:
        columns = ("VM", "from", "recovery point now", "age", "starts")
        out.print(output.table(f"VMs of the drill, in network {event.network or '-'}", columns, [
            (
                f"{vm.name} ({vm.vm})", vm.site, output.moment(vm.recovery_point), output.seconds(vm.age_s),
                "yes" if vm.starts else "no",
            )
            for vm in event.vms
        ]))
        output.blocked(event.vms)
    if event.recovery_plan:
        out.print(f"VMs start by the recovery plan {event.recovery_plan}; others after them by priority.")
    if event.steps:
        output.steps(event.steps)
    output.notes(event)


def _views() -> output.Views:
    run = RunView()

    def plan(event: DrillPlanEvent) -> None:
        run.plan(event)
        _plan(event)

    return {DrillPlanEvent: plan, **run_view.views(run)}
