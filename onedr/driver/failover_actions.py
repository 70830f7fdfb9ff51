"""The verbs that take a datastore over, and those that end, continue or stop such a run."""
from __future__ import annotations

from onedr.driver import verbs
from onedr.driver.decode import ActionData
from onedr.driver.refusal import refusal_shown, whole
from onedr.driver.tell import emit
from onedr.failover import resume as failover_resume
from onedr.failover import run as failover_run
from onedr.opennebula.api import FrontEnd
from onedr.rejoin import reprotect as rejoin_reprotect
from onedr.runs import cancel as runs_cancel
from onedr.runs.events import ProgressEvent
from onedr.runs.request import Request


def failover(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with refusal_shown(frontend, data, not request.dry_run):
        whole(failover_run.failover(data.target, request, emit, frontend))


def resume(data: ActionData, request: Request) -> None:
    """Repeat the interrupted run's request: its verb gathers facts again and continues."""
    with refusal_shown(FrontEnd(), data):
        again = failover_resume.resumed_request(data.target, request)
    verbs.perform(data, again)


def abort(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with refusal_shown(frontend, data):
        whole(failover_resume.abort(data.target, request, emit, frontend))


def cancel(data: ActionData, request: Request) -> None:
    with refusal_shown(FrontEnd(), data):
        emit(ProgressEvent(runs_cancel.cancel(data.access, data.datastore_name, request.by)))


def reprotect(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with refusal_shown(frontend, data, not request.dry_run):
        whole(rejoin_reprotect.reprotect(data.target, request, emit, frontend))
