"""The verbs of drills and rehearsals."""
from __future__ import annotations

from onedr.drill import checks as drill_checks
from onedr.drill import cleanup as drill_run_cleanup
from onedr.drill import report as drill_reports
from onedr.drill import run as drill_run
from onedr.driver.decode import ActionData
from onedr.driver.refusal import refusal_shown, whole
from onedr.driver.tell import emit
from onedr.model import parsing, template
from onedr.model.errors import InputError
from onedr.opennebula.api import FrontEnd
from onedr.rehearsal import run as rehearsal_run
from onedr.runs.answer_events import DrillReportEvent
from onedr.runs.request import Request


def drill(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    words = tuple(value for key, value in request.attributes if key == "COMMAND")
    port = parsing.count(template.get(request.attributes, "PORT", "0"), "PORT")
    if not port < 1 << 16:
        raise InputError(f"{port} is not a TCP port; give one from 1 to 65535.")
    with refusal_shown(frontend, data, not request.dry_run):
        checks = drill_checks.Checks(port, words)
        whole(drill_run.drill(data.target, request, checks, emit, frontend))


def drill_cleanup(data: ActionData, request: Request) -> None:
    whole(drill_run_cleanup.cleanup(data.target, request, emit, FrontEnd()))


def drill_report(data: ActionData, _: Request) -> None:
    found, saved = drill_reports.last_report(data.datastore_id)
    files = {"json": str(saved.json), "page": str(saved.html), "sha256": saved.digest}
    emit(DrillReportEvent(found, files))


def rehearse(data: ActionData, request: Request) -> None:
    emit(rehearsal_run.rehearse(data.target, request, emit, FrontEnd()))
