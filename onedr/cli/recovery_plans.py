"""`onedr recovery-plan`: in which order runs start VMs, and what they wait for; show, edit, check."""
from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click

from onedr.cli import completion, given_file, output, run_action
from onedr.model.errors import InputError, ProblemsFoundError
from onedr.runs.recovery_plan_events import RecoveryPlanEvent
from onedr.runs.request import Request

_DRAFT = """\
# Recovery plan {name} of datastore {datastore}. One file for both sites; all keys: docs/plans.md.
# VMs that no group selects start after all groups, by DR_PRIORITY.
version: 1
groups:
#  - name: databases
#    vms: [db1, db2]
#    owners: [dba]                # of VMs with these names, only theirs
#    depends: {{db2: db1}}          # db2 starts after db1
#    gate: {{port: 5432, within: 5m, then: stop}}
#  - name: web                    # after databases
#    labels: [web]
#    gate: {{running: yes, within: 2m}}
"""
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_DATASTORE = click.argument("datastore", shell_complete=completion.datastores)


@click.group(name="recovery-plan", short_help="Show, edit or check recovery plans.")
def recovery_plan() -> None:
    """In which order the VMs of a datastore start, in a move, failover, failback or drill, and what is waited
    for in between.

    DR_RECOVERY_PLAN on the datastore or --plan of the run names the plan; without one DR_PRIORITY decides.
    """


@recovery_plan.command(short_help="Show a plan, or list all.")
@_DATASTORE
@click.argument("name", default="")
@click.option("--version", "wanted", default="", metavar="N", help="Print version N instead of the newest.")
@_JSON
def show(datastore: str, name: str, wanted: str, as_json: bool) -> None:
    """Print the plan NAME of DATASTORE as it was written; without NAME list all plans."""
    _ask(datastore, {"NAME": name, "VERSION": wanted}, as_json, _file if name else _list)


@recovery_plan.command(short_help="Write a plan, or change one.")
@_DATASTORE
@click.argument("name")
@click.option(
    "--file", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
    help="Take FILE (- for standard input) instead of opening an editor.",
)
@click.option("--remove", is_flag=True, help="Remove the plan. Its versions stay in the history.")
@_JSON
def edit(datastore: str, name: str, file: Path | None, remove: bool, as_json: bool) -> None:
    """Validate the plan NAME and store it in the pools of both sites as a new version.

    Without --file it opens in $EDITOR; a plan with an error is opened again, with nothing lost.
    """
    if remove and file is not None:
        raise click.UsageError("give one of --file, --remove")
    if remove:
        _ask(datastore, {"NAME": name, "FILE": ""}, as_json, _written)
    elif file is not None:
        text = given_file.read(file, "select VMs by label or group")
        if not text.strip():
            raise InputError(f"{file} is empty; to remove the plan, give --remove.")
        _ask(datastore, {"NAME": name, "FILE": text}, as_json, _written)
    else:
        _in_editor(datastore, name, as_json)


def _in_editor(datastore: str, name: str, as_json: bool) -> None:
    listed = {plan.name for plan in _event(datastore, {}).plans}
    before = _event(datastore, {"NAME": name}).text if name in listed else ""
    text = before or _DRAFT.format(name=name, datastore=datastore)
    while True:
        edited = click.edit(text, extension=".yaml")
        if edited is None or not edited.strip() or edited == before:
            output.line("Nothing was changed.")
            return
        text = edited
        try:
            given_file.refuse_controls(text, "the plan")
            _ask(datastore, {"NAME": name, "FILE": text}, as_json, _written)
            return
        except InputError as error:
            output.line(str(error), err=True)
            click.confirm("Edit it again?", default=True, abort=True)


@recovery_plan.command(short_help="Compare a plan with the VMs that there are.")
@_DATASTORE
@click.argument("name")
@_JSON
def check(datastore: str, name: str, as_json: bool) -> None:
    """Show which VMs each group of the plan NAME starts, and what is wrong with it.

    Exit code 6: at least one problem.
    """
    found = _ask(datastore, {"NAME": name, "CHECK": "YES"}, as_json, _checked)
    if found.problems:
        raise SystemExit(ProblemsFoundError.exit_code)


@recovery_plan.command(short_help="List the versions of a plan.")
@_DATASTORE
@click.argument("name")
@_JSON
def history(datastore: str, name: str, as_json: bool) -> None:
    """List the versions of the plan NAME: when, by whom, which lines changed."""
    _ask(datastore, {"NAME": name}, as_json, _versions)


def _event(datastore: str, asked: dict[str, str]) -> RecoveryPlanEvent:
    request = Request("recovery_plan", attributes=tuple(asked.items()))
    (found,) = run_action.events(datastore, request)
    return cast(RecoveryPlanEvent, found)


def _ask(
    datastore: str, asked: dict[str, str], as_json: bool, view: Callable[[RecoveryPlanEvent], None]
) -> RecoveryPlanEvent:
    found = _event(datastore, asked)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return found
    for warning in found.warnings:
        output.line(f"WARN: {warning}", err=True)
    view(found)
    return found


def _list(found: RecoveryPlanEvent) -> None:
    if not found.plans:
        output.line(f"{found.datastore} has no recovery plan: VMs start by DR_PRIORITY.")
        return
    rows = [
        (plan.name, "yes" if plan.chosen else "", plan.version, output.moment(plan.at) if plan.at else "",
         f"{plan.by} at {plan.site}" if plan.by else "", plan.doubt)
        for plan in found.plans
    ]
    columns = ("plan", "DR_RECOVERY_PLAN", "version", "set", "by", "not used")
    output.console().print(output.table("Recovery plans", columns, rows))


def _file(found: RecoveryPlanEvent) -> None:
    if found.text:
        given_file.show(found.text)
    else:
        output.line(f"The plan {found.name} was removed with version {found.version}.", err=True)


def _written(found: RecoveryPlanEvent) -> None:
    for version in found.versions:
        for line in version.changes:
            output.line(line)
    what = "is in force" if found.text else "removes it"
    output.line(f"Version {found.version} of the plan {found.name} of {found.datastore} {what}.")


def _checked(found: RecoveryPlanEvent) -> None:
    rows = [(group.wave, group.called, ", ".join(group.vms), group.gate) for group in found.groups]
    title = f"Plan {found.name}, version {found.version}"
    output.console().print(output.table(title, ("wave", "group", "VMs that start", "then"), rows))
    for problem in found.problems:
        output.line(f"PROBLEM: {problem}")


def _versions(found: RecoveryPlanEvent) -> None:
    given_file.show_versions(found.versions)
