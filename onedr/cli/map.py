"""`onedr map`: what objects of one site are called at the other, as one file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import cast

import click

from onedr.cli import completion, given_file, output, run_action
from onedr.cli.check import print_findings
from onedr.model.errors import ProblemsFoundError
from onedr.runs.answer_events import CheckEvent, MapEvent
from onedr.runs.request import Request

# Checks that are about what VMs have at the other site (docs/checks.md).
CHECKS = (
    "MAPPING",
    "UNMAPPED_HERE",
    "UNMAPPED_THERE",
    "NETWORK_MAP",
    "STARTS_HERE",
    "STARTS_THERE",
    "FILES_HERE",
    "FILES_THERE",
    "OWNERS_HERE",
    "OWNERS_THERE",
    "RULES_HERE",
    "RULES_THERE",
)


@click.command(name="map", short_help="Show, draft, check or set the mapping.")
@click.argument("datastore", shell_complete=completion.datastores)
@click.option("--draft", is_flag=True, help="Read both sites and print a commented file to edit.")
@click.option(
    "--set",
    "file",
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE",
    help="Validate FILE (- for standard input) and store it in the pools of both sites as a new version.",
)
@click.option(
    "--check", "checking", is_flag=True, help="Compare it with both live sites; say what is unmapped."
)
@click.option("--versions", is_flag=True, help="List the versions: when, by whom, what changed.")
@click.option("--version", "wanted", default="", metavar="N", help="Print version N instead of the newest.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def map_(
    datastore: str, draft: bool, file: Path | None, checking: bool, versions: bool, wanted: str, as_json: bool
) -> None:
    """Show what networks, addresses, users, groups and so on of one site are called at the other. The file
    is valid at both sites and is used both ways: by failover, move, failback and drill.

    Exit code of --check 6: at least one problem.
    """
    if sum((draft, file is not None, checking, versions)) > 1:
        raise click.UsageError("give one of --draft, --set, --check, --versions")
    if checking:
        _check(datastore, as_json)
        return
    attributes: tuple[tuple[str, str], ...] = (("VERSION", wanted),) if wanted else ()
    if draft:
        attributes = (("DRAFT", "YES"),)
    elif file is not None:
        attributes = (("FILE", given_file.read(file, "leave out what has the same name")),)
    for event in run_action.events(datastore, Request("map", attributes=attributes)):
        found = cast(MapEvent, event)
        if as_json:
            click.echo(json.dumps(asdict(found), indent=2))
        else:
            _print(found, versions)


def _print(found: MapEvent, versions: bool) -> None:
    for warning in found.warnings:
        output.line(f"WARN: {warning}", err=True)
    if versions:
        given_file.show_versions(found.versions)
    elif found.written:
        for line in found.versions[-1].changes:
            output.line(line)
        output.line(f"Version {found.version} of the mapping of {found.datastore} is in force.")
    elif found.text:
        given_file.show(found.text)
    else:
        output.line(
            f"{found.datastore} has no mapping: names are the same at both sites, or in DR_NETWORK_MAP. "
            f"Draft one: onedr map {found.datastore} --draft",
            err=True,
        )


def _check(datastore: str, as_json: bool) -> None:
    found = [
        finding
        for event in run_action.events(datastore, Request("check"))
        if isinstance(event, CheckEvent)
        for finding in event.findings
        if finding.code in (*CHECKS, "ATTRIBUTES")
    ]
    print_findings(found, as_json)
    if any(finding.level == "problem" for finding in found):
        raise SystemExit(ProblemsFoundError.exit_code)
