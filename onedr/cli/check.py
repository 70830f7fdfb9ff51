"""`onedr check`: one line per check, all problems at once."""
from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import click

from onedr.check import collect_front_ends
from onedr.check import run as check_run
from onedr.cli import completion, output, run_action
from onedr.model.errors import OneDRError, ProblemsFoundError
from onedr.runs.answer_events import CheckEvent, FindingShown, RehearsalEvent
from onedr.runs.events import ProgressEvent
from onedr.runs.request import Request

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
Findings = list[FindingShown]


@click.command(short_help="Check for anything that would prevent DR.")
@click.argument("datastore", required=False, shell_complete=completion.datastores)
@click.option(
    "--probe",
    is_flag=True,
    help="First replicate small test images there and back, and store the result. Not read-only.",
)
@click.option(
    "--rehearse",
    is_flag=True,
    help="First create each VM of the peer here, on hold, compare it, and remove it. Not read-only.",
)
@click.option("--problems", is_flag=True, help="Show no finding that is ok.")
@click.option("--json", "as_json", is_flag=True, help="Print the worst level and all findings as JSON.")
def check(datastore: str | None, probe: bool, rehearse: bool, problems: bool, as_json: bool) -> None:
    """Check for anything that would prevent protection, failover or failback. Works while the peer is
    unreachable. Read-only, but for --probe and --rehearse.

    Checks DATASTORE (name or id), or the front-end and every protected datastore. Exit code 6: at least one
    problem; 0: none, but there may be warnings.
    """
    if probe and datastore is None:
        raise click.UsageError("--probe needs a DATASTORE")
    if rehearse:
        _rehearse(datastore, as_json)
    attributes = (("PROBE", "YES"),) if probe else ()
    found = _of(datastore, attributes, as_json) if datastore is not None else _everything()
    print_findings(found, as_json, problems)
    if any(finding.level == "problem" for finding in found):
        sys.exit(ProblemsFoundError.exit_code)


def _rehearse(datastore: str | None, quiet: bool) -> None:
    """Rehearse a datastore, or each protected one; what came of it is kept, and among the findings."""
    listed = [(0, datastore)] if datastore else collect_front_ends.listed(collect_front_ends.front_end())
    for number, name in listed:
        for event in run_action.events(str(number) if number else name, Request("rehearse")):
            if isinstance(event, ProgressEvent) and not quiet:
                output.line(event.message, err=True)
            elif isinstance(event, RehearsalEvent):
                told = (event.stopped, *(f"{what} stays: {why}" for what, why in event.left.items()))
                for text in filter(None, told):
                    output.line(f"The rehearsal of {name}: {text}", err=True)


def _everything() -> Findings:
    """The front-end and each protected datastore, in parallel."""
    try:
        datastores = collect_front_ends.listed(collect_front_ends.front_end())
    except OneDRError:
        datastores = []  # the site's own findings say so
    with ThreadPoolExecutor(len(datastores) + 1) as pool:
        site = pool.submit(lambda: check_run.described(check_run.site_check()))
        each = [pool.submit(_of_listed, str(number), name) for number, name in datastores]
        return [*site.result(), *(finding for one in each for finding in one.result())]


def _of_listed(number: str, name: str) -> Findings:
    try:
        return _of(number, (), True)
    except OneDRError as error:  # the other datastores are checked all the same
        return [FindingShown(name, "CHECK", "problem", str(error), f"onedr check {name}")]


def _of(datastore: str, attributes: tuple[tuple[str, str], ...], quiet: bool) -> Findings:
    found: Findings = []
    for event in run_action.events(datastore, Request("check", attributes=attributes)):
        if isinstance(event, CheckEvent):
            found = list(event.findings)
        elif isinstance(event, ProgressEvent) and not quiet:
            output.line(event.message, err=True)
    return found


def print_findings(found: Iterable[FindingShown], as_json: bool, problems: bool = False) -> None:
    """Findings for people, or as JSON; with `problems` none that is ok."""
    every = list(found)
    ordered = [finding for finding in every if not (problems and finding.level == "ok")]
    if as_json:
        seen = {finding.level for finding in ordered}
        worst = next((level for level in ("problem", "warning") if level in seen), "ok")
        told = {"worst": worst, "findings": [asdict(finding) for finding in ordered]}
        click.echo(json.dumps(told, indent=2))
        return
    out = output.console()
    for finding in ordered:
        where = f"{finding.datastore}: " if finding.datastore else ""
        level = output.styled(f"{finding.level:8}", _COLOURS[finding.level])
        out.print(level, f"{finding.code:15} {where}{finding.text}", soft_wrap=True)
        if finding.todo and finding.level != "ok":
            out.print(f"{'':24} -> {finding.todo}", soft_wrap=True)
    levels = [finding.level for finding in every]
    out.print(
        f"{levels.count('problem')} problem(s), {levels.count('warning')} warning(s), {levels.count('ok')} ok"
    )
