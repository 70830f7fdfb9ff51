"""`onedr report`: what is protected, how it was, and what changed, as one page."""
from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from onedr.cli import completion, output, run_action
from onedr.driver import start_action
from onedr.host import log
from onedr.host.atomic_file import write_atomically
from onedr.model.errors import InputError, OneDRError
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.report import kept
from onedr.report.page import Section, page
from onedr.runs.answer_events import ReportEvent
from onedr.runs.request import Request

_MODE = 0o600  # it names VMs and images


@click.command(short_help="Write a report as one HTML page.")
@click.argument("datastore", required=False, shell_complete=completion.datastores)
@click.option("--html", "as_html", is_flag=True, help="Write one HTML file that needs nothing else.")
@click.option(
    "--output", "file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="With --html: its name, readable by its owner only. Default: onedr-report-TIME.html here.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the report is made from, as JSON.")
def report(datastore: str | None, as_html: bool, file: Path | None, as_json: bool) -> None:
    """Report on DATASTORE, by default on each protected one: what is protected and what not and why, recovery
    points of the last days, readiness, rehearsals, drills, runs, and changes since the last report.

    It only looks. With DR_REPORT=YES the newest one of each night is kept (docs/report.md).
    """
    if as_html == as_json:
        raise click.UsageError("Give --html for a page, or --json for what it is made from.")
    found = sections(datastore)
    if as_json:
        told = [each.report.to_json() if each.report else _unread(each) for each in found]
        click.echo(json.dumps(told, indent=2))
        return
    target = file or Path(time.strftime("onedr-report-%Y%m%d-%H%M%S.html", time.gmtime()))
    try:
        write_atomically(
            Path(os.path.abspath(target)), page(found, time.time(), start_action.caller()), _MODE
        )
    except OSError as error:
        raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
    _keep(found)
    output.line(f"{target}: {len(found)} datastore(s).")


def _unread(section: Section) -> dict[str, str]:
    return {"event": "error", "datastore": section.name, "message": section.error}


def sections(datastore: str | None) -> list[Section]:
    """What is known of a datastore (name or id), or of each protected one; an unreadable one hides no other.
    Raises OneDRError for a datastore that was named.
    """
    if datastore is not None:
        element = FrontEnd().find_datastore(datastore)
        return [read(str(element.findtext("NAME")), str(element.findtext("ID")), ())]
    found = []
    for name, number in datastores.protected(FrontEnd()).items():
        try:
            if isinstance(number, OneDRError):
                raise number
            found.append(read(name, number, ()))
        except OneDRError as error:
            found.append(Section(name, error=str(error)))
    return found


def read(name: str, number: str, attributes: tuple[tuple[str, str], ...]) -> Section:
    """A datastore's part of a report, with what its last one saw. Raises OneDRError."""
    for event in run_action.events(number, Request("report", attributes=attributes)):
        return Section(name, cast(ReportEvent, event), kept.last(int(number)), number=int(number))
    raise OneDRError(f"the action report of datastore {name} answered nothing")


def _keep(found: Sequence[Section]) -> None:
    """The next report tells of changes since this one. One that cannot be kept is a report."""
    for each in found:
        try:
            if each.report is not None:
                kept.keep(each.number, each.report)
        except OSError as error:
            log.warning(f"what the report of {each.name} saw is not kept: {error}")
            output.line(f"The next report cannot tell of changes since this one: {error}", err=True)
