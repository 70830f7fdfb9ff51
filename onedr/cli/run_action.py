"""Run a datastore action's executable and hand its events on. The action outlives this client."""
from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import IO

from onedr.cli import output
from onedr.cli.follow import Follow
from onedr.driver import start_action
from onedr.model import errors
from onedr.model.errors import FrontEndError, OneDRError, PlanRefusedError, UnexpectedError
from onedr.model.json_form import Json, from_json
from onedr.opennebula.api import FrontEnd
from onedr.runs.answer_events import (
    ChainEvent,
    CheckEvent,
    DrillReportEvent,
    HistoryEvent,
    KeptEvent,
    MapEvent,
    ObservedEvent,
    ProbeEvent,
    ReconcileEvent,
    RehearsalEvent,
    ReportEvent,
    RunBookEvent,
    SnapshotsEvent,
    StatusEvent,
)
from onedr.runs.events import ErrorEvent, Event, ItemEvent, ProgressEvent, StepEvent, VerdictEvent
from onedr.runs.plan_events import (
    ConversionPlanEvent,
    DrillPlanEvent,
    FailoverPlanEvent,
    ReprotectPlanEvent,
)
from onedr.runs.point_events import PointsEvent
from onedr.runs.recovery_plan_events import RecoveryPlanEvent
from onedr.runs.request import Request

_TAIL = 400
_PIECE_S = 0.5
_PLANS: Mapping[str, type[Event]] = {
    "move": FailoverPlanEvent, "failover": FailoverPlanEvent, "failback": FailoverPlanEvent,
    "drill": DrillPlanEvent,
    "drill_cleanup": DrillPlanEvent, "reprotect": ReprotectPlanEvent, "enable": ConversionPlanEvent,
    "disable": ConversionPlanEvent,
}
_KINDS: Mapping[str, type[Event]] = {
    kind.event: kind
    for kind in (
        ErrorEvent, ProgressEvent, StepEvent, ItemEvent, VerdictEvent, StatusEvent, ReconcileEvent,
        CheckEvent, RehearsalEvent, ProbeEvent, HistoryEvent, KeptEvent, SnapshotsEvent, DrillReportEvent,
        MapEvent, ObservedEvent, ChainEvent, RunBookEvent, ReportEvent, PointsEvent,
        RecoveryPlanEvent,
    )
}


def read_event(data: Json) -> Event:
    """An event from its line of JSON. Raises KeyError for an unknown kind."""
    kind = _PLANS[data["verb"]] if data["event"] == "plan" else _KINDS[data["event"]]
    return from_json(kind, data)


def events(datastore: str, request: Request) -> Iterator[Event]:
    """Events of the action, as they come. Raises the error that ended it, also that of a refused plan."""
    refusal = ""
    for event in _events(datastore, request):
        refusal = getattr(event, "refusal", "") or refusal
        yield event
    if refusal:  # of a dry run: the reason, once, as the run itself would end
        raise PlanRefusedError(refusal)


def _events(datastore: str, request: Request) -> Iterator[Event]:
    element = FrontEnd().find_datastore(datastore)
    request = replace(request, by=start_action.caller(), trigger="onedr", at=time.time())
    argv = [start_action.command(request.verb), str(element.findtext("ID"))]
    with (
        tempfile.TemporaryFile() as complaints,  # not a pipe: nothing reads it when this client is gone
        Follow(request, str(element.findtext("NAME"))) as follow,
    ):
        child = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True
        )
        assert child.stdin is not None
        with suppress(BrokenPipeError), child.stdin as stdin:  # its own end says why it did not listen
            stdin.write(start_action.driver_data(element, request))
        follow.begun()
        yield from _read(child, complaints, follow)


def present(datastore: str, request: Request, views: output.Views, as_json: bool = False) -> None:
    """Run the action and show its events. Raises PlanRefusedError at the end of a refused dry run."""
    output.present(events(datastore, request), views, as_json)


def _read(child: subprocess.Popen[bytes], complaints: IO[bytes], follow: Follow) -> Iterator[Event]:
    assert child.stdout is not None
    failure: OneDRError | None = None
    for line in _lines(child.stdout.fileno()):
        event = read_event(json.loads(line))
        if isinstance(event, ErrorEvent):
            failure = errors.from_wire(
                {"kind": event.kind, "message": event.message, "code": None, "word": event.code}
            )
        else:
            yield event
    code = child.wait()
    complaints.seek(0)
    said = complaints.read().decode(errors="replace").strip()
    for text in said.splitlines():
        if text.startswith("WARN:") or isinstance(failure, UnexpectedError):
            output.line(text, err=True)
    if failure is not None:
        failure.exit_code = code
        raise failure
    if code < 0:
        raise follow.killed(-code)
    if code:
        raise OneDRError(f"the action ended with code {code}: {said[-_TAIL:] or 'it printed nothing'}")


def _lines(pipe: int) -> Iterator[bytes]:
    """Lines as they come. Python handles a signal that comes just before a read blocks only after that read,
    so nothing is read before it is there, and waiting is cut into pieces.
    """
    rest = b""
    while True:
        if not select.select([pipe], [], [], _PIECE_S)[0]:
            continue
        data = os.read(pipe, 1 << 16)
        if not data:
            break
        *lines, rest = (rest + data).split(b"\n")
        yield from lines
    if rest:
        yield rest


def datastore_name(datastore: str) -> str:
    """NAME of a datastore given by id or name."""
    name = FrontEnd().find_datastore(datastore).findtext("NAME")
    if not name:
        raise FrontEndError(f"Datastore {datastore} has no name.")
    return name
