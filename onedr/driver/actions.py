"""DR actions on a datastore. Called as oned calls its own (docs/design.md, "Triggers"); events are lines of
JSON.
"""
from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

import rados
import rbd

from onedr.check import run as check_run
from onedr.drill import checks as drill_checks
from onedr.drill import cleanup as drill_cleanup
from onedr.drill import run as drill_run
from onedr.driver import bridge_dispatch, decode
from onedr.driver.bridge_dispatch import HandedOver
from onedr.driver.decode import ActionData
from onedr.failover import facts as failover_facts
from onedr.failover import resume as failover_resume
from onedr.failover import run as failover_run
from onedr.model import parsing, template
from onedr.model.errors import FrontEndError, InputError, OneDRError, PartialError, RefusedError, StorageError
from onedr.model.types import DRIVER
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import disable, enable, reconcile, status
from onedr.rejoin import reprotect
from onedr.runs import request as runs_request
from onedr.runs.request import Request
from onedr.runs.run import Outcome


def emit(event: dict[str, Any]) -> None:
    """One event, one line. A reader that went away never stops a run."""
    try:
        print(json.dumps(event), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_action(verb: str) -> NoReturn:
    """Run one verb and end the process: 0 done, else the error's exit code, with its sentence on standard
    error.
    """
    code = 0
    bridge_dispatch.asked("onedr.driver.actions:perform", [verb, *sys.argv[1:]])
    try:
        perform([verb, *sys.argv[1:]])
    except HandedOver:
        pass  # its events were shown as they came
    except OneDRError as error:
        code = _fail(error)
    except (rados.Error, rbd.Error) as error:
        code = _fail(StorageError(f"Ceph: {error}"))
    except Exception as error:  # noqa: BLE001 the process ends here
        traceback.print_exc()
        code = _fail(OneDRError(f"OneDR failed unexpectedly ({type(error).__name__}: {error})."))
    sys.stdout.flush()
    os._exit(code)  # a call that Ceph never answered may have left a thread behind


def perform(words: list[str]) -> str:
    """`VERB DATASTORE_ID`, with driver data on standard input, here or on a bridge host."""
    verb, _ = decode.words(words, "VERB", "DATASTORE_ID")
    data = decode.action_data(bridge_dispatch.read_stdin())
    bridge_dispatch.unless_here(data.attributes)
    request = runs_request.read_request(data.root, verb)
    runs_request.serve(request)
    _VERBS[verb](data, request)
    return ""


def _fail(error: OneDRError) -> int:
    emit({"event": "error", "kind": type(error).__name__, "message": str(error)})
    print(error, file=sys.stderr)
    return error.exit_code


def _datastore(data: ActionData) -> Datastore:
    return Datastore(data.datastore_id, data.datastore_name, data.access, data.settings)


def _failover(data: ActionData, request: Request) -> None:
    frontend, target = FrontEnd(), _datastore(data)
    asked = failover_facts.FailoverRequest(
        request.confirm, request.vms, request.start, only_planned=request.verb == "failback"
    )
    with _refusal_shown(frontend, data, not request.dry_run):
        _whole(failover_run.failover(target, asked, request.dry_run, emit, frontend))


def _resume(data: ActionData, request: Request) -> None:
    """Ask for the same as the interrupted run was asked for: its own verb gathers facts anew and goes on."""
    with _refusal_shown(FrontEnd(), data):
        again = failover_resume.resumed_request(_datastore(data), request.by, f"resume by {request.trigger}")
    again = replace(again, dry_run=request.dry_run)
    runs_request.serve(again)
    _VERBS[again.verb](data, again)


def _abort(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data):
        _whole(failover_resume.abort(_datastore(data), request, emit, frontend))


@contextmanager
def _refusal_shown(frontend: FrontEnd, data: ActionData, shown: bool = True) -> Iterator[None]:
    """A refusal is also told on the datastore, where whoever set DR_ACTION looks for it."""
    try:
        yield
    except RefusedError as error:
        if shown:
            try:
                frontend.update_datastore(data.datastore_id, (("DR_MESSAGE", str(error)),))
            except FrontEndError as silent:
                print(f"WARN: DR_MESSAGE not written: {silent}", file=sys.stderr)
        raise


def _whole(outcome: Outcome | enable.ConversionOutcome | None) -> None:
    """Raises PartialError when something failed; None is the outcome of a dry run."""
    if outcome is not None and outcome.failed:
        raise PartialError(outcome.message)


def _reprotect(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data, not request.dry_run):
        _whole(reprotect.reprotect(_datastore(data), request.confirm, request.dry_run, emit, frontend))


def _status(data: ActionData, _: Request) -> None:
    emit(status.status(_datastore(data), FrontEnd()))


def _reconcile(data: ActionData, _: Request) -> None:
    frontend, target = FrontEnd(), _datastore(data)
    report = reconcile.reconcile(target, frontend)
    frontend.update_datastore(target.datastore_id, tuple(status.state_attributes(target, frontend).items()))
    emit({"event": "reconcile", **report.as_dict()})
    if report.failed:
        raise PartialError(f"{len(report.failed)} item(s) could not be repaired; see onedr status.")


def _enable(data: ActionData, request: Request) -> None:
    _whole(enable.enable(data.datastore_id, request.attributes, request.dry_run, emit, FrontEnd()))


def _disable(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data, not request.dry_run and data.datastore.findtext("DS_MAD") == DRIVER):
        _whole(disable.disable(data.datastore_id, request.confirm, request.dry_run, emit, frontend))


def _drill(data: ActionData, request: Request) -> None:
    frontend, target = FrontEnd(), _datastore(data)
    command = tuple(value for key, value in request.attributes if key == "COMMAND")
    port = parsing.count(template.get(request.attributes, "PORT", "0"), "PORT")
    if not port < 1 << 16:
        raise InputError(f"{port} is no TCP port.")
    with _refusal_shown(frontend, data, not request.dry_run):
        checks = drill_checks.Checks(port, command)
        _whole(
            drill_run.drill(
                target,
                failover_facts.FailoverRequest(vms=request.vms),
                checks,
                request.dry_run,
                emit,
                frontend,
            )
        )


def _drill_cleanup(data: ActionData, request: Request) -> None:
    _whole(drill_cleanup.cleanup(_datastore(data), request.dry_run, emit, FrontEnd()))


def _check(data: ActionData, request: Request) -> None:
    """Read-only, but for the probe, which comes first."""
    try:
        target = _datastore(data)
    except InputError as error:
        emit(
            {
                "event": "check",
                "datastore": data.datastore_name,
                "findings": [check_run.bad_attributes(data.datastore_name, error)],
            }
        )
        return
    if ("PROBE", "YES") in request.attributes:
        emit(
            {
                "event": "probe",
                **check_run.probe(target, lambda text: emit({"event": "progress", "message": text})),
            }
        )
    emit(
        {"event": "check", "datastore": target.name, "findings": check_run.described(check_run.check(target))}
    )


_VERBS = {
    "failover": _failover,
    "failback": _failover,
    "status": _status,
    "reconcile": _reconcile,
    "enable": _enable,
    "disable": _disable,
    "reprotect": _reprotect,
    "drill": _drill,
    "drill_cleanup": _drill_cleanup,
    "resume": _resume,
    "abort": _abort,
    "check": _check,
}
