"""DR actions on a datastore. Called as oned calls its own actions; events are lines of JSON (runs/events.py).
"""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import NoReturn

import rados
import rbd

from onedr.ceph import connection
from onedr.check import run as check_run
from onedr.document.action_rules import PLANNED
from onedr.drill import checks as drill_checks
from onedr.drill import cleanup as drill_cleanup
from onedr.drill import report as drill_report
from onedr.drill import run as drill_run
from onedr.driver import bridge_dispatch, decode, document_echo, plan_actions, point_actions, start_action
from onedr.driver.bridge_dispatch import HandedOver
from onedr.driver.decode import ActionData
from onedr.driver.tell import emit, heard_by
from onedr.failover import resume as failover_resume
from onedr.failover import run as failover_run
from onedr.failover import show_snapshots
from onedr.host import log
from onedr.metrics import collect as metrics_collect
from onedr.model import parsing, template
from onedr.model.errors import (
    FrontEndError,
    InputError,
    OneDRError,
    PartialError,
    RefusedError,
    StorageError,
    UnexpectedError,
    plain,
)
from onedr.model.text import Sentence, pasteable
from onedr.model.types import DRIVER
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import disable, enable, keeper_lock, pause, reconcile, scope_rules, status
from onedr.rehearsal import run as rehearsal_run
from onedr.rejoin import reprotect
from onedr.report import collect as report_collect
from onedr.runbook import collect as runbook_collect
from onedr.runs import cancel as runs_cancel
from onedr.runs import datastore_message, history, journal
from onedr.runs.answer_events import (
    ChainEvent,
    CheckEvent,
    DrillReportEvent,
    HistoryEvent,
    KeptEvent,
    PreservedCopyShown,
    SnapshotsEvent,
)
from onedr.runs.events import ErrorEvent, ProgressEvent
from onedr.runs.request import Request
from onedr.runs.run import Outcome

# Verbs whose data lies on the front-end: they run there also where the datastore has a BRIDGE_LIST.
_ON_THE_FRONT_END = ("drill_report",)


def run_action(verb: str) -> NoReturn:
    """Run one verb and end the process: 0 done, else the error's exit code,
    with its sentence on standard error.
    """
    code = 0
    log.catch_all()
    bridge_dispatch.begin("onedr.driver.actions:perform", [verb, *sys.argv[1:]])
    try:
        perform([verb, *sys.argv[1:]])
    except HandedOver:
        pass  # its events were shown as they came
    except OneDRError as error:
        code = _fail(error)
    except (rados.Error, rbd.Error) as error:
        code = _fail(StorageError(f"Ceph: {error}"))
    except Exception as error:  # noqa: BLE001 the process ends here
        code = _fail(unexpected(error))
    sys.stdout.flush()
    os._exit(code)  # a call that Ceph never answered may have left a thread behind


def unexpected(error: Exception) -> UnexpectedError:
    """What is told of a fault in OneDR, which is being handled; its traceback goes to the log."""
    log.exception("OneDR failed unexpectedly")
    return UnexpectedError(
        f"OneDR failed unexpectedly ({type(error).__name__}: {error}); the traceback is in {log.path()}."
    )


def perform(words: list[str]) -> str:
    """`VERB DATASTORE_ID`, with driver data on standard input, here or on a bridge host."""
    verb, _ = decode.words(words, "VERB", "DATASTORE_ID")
    data = decode.action_data(bridge_dispatch.read_stdin())
    log.bind(verb=verb, datastore=data.datastore_name)
    if verb not in _ON_THE_FRONT_END:
        bridge_dispatch.unless_here(data.attributes)
    try:
        _perform(verb, data, start_action.read_request(data.root, verb))
    except OneDRError as error:
        error.args = (pasteable(str(error), data.datastore_name),)
        error.public = pasteable(error.public, data.datastore_name)
        raise
    return ""


def _perform(verb: str, data: ActionData, request: Request) -> None:
    """A run is shown in the datastore's document too."""
    if verb not in document_echo.RUNS or request.dry_run:
        _VERBS[verb](data, request)
        return
    echo = document_echo.RunEcho(_datastore(data), request)
    with heard_by(echo.take):
        try:
            _VERBS[verb](data, request)
        finally:
            echo.close()


def _fail(error: OneDRError) -> int:
    log.error(f"{error} [{error.word}]")
    emit(ErrorEvent(type(error).__name__, str(error), error.word))
    print(error, file=sys.stderr)
    return error.exit_code


def _datastore(data: ActionData) -> Datastore:
    return Datastore(data.datastore_id, data.datastore_name, data.access, data.settings)


def _failover(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data, not request.dry_run):
        _whole(failover_run.failover(_datastore(data), request, emit, frontend))


def _resume(data: ActionData, request: Request) -> None:
    """Repeat the interrupted run's request: its verb gathers facts again and continues."""
    with _refusal_shown(FrontEnd(), data):
        again = failover_resume.resumed_request(_datastore(data), request)
    _VERBS[again.verb](data, again)


def _abort(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data):
        _whole(failover_resume.abort(_datastore(data), request, emit, frontend))


def _cancel(data: ActionData, request: Request) -> None:
    with _refusal_shown(FrontEnd(), data):
        emit(ProgressEvent(runs_cancel.cancel(data.access, data.datastore_name, request.by)))


@contextmanager
def _refusal_shown(frontend: FrontEnd, data: ActionData, shown: bool = True) -> Iterator[None]:
    """A refusal is also written on the datastore, for the person who set DR_ACTION: what is public of it."""
    try:
        yield
    except RefusedError as error:
        if shown:
            _answer(frontend, data, error.public or (
                f"what was asked for, for a reason that may name VMs or images ({error.word}). The log has "
                "it, and onedr on the front-end."
            ))
        raise


def _answer(frontend: FrontEnd, data: ActionData, why: str) -> None:
    now = time.time()
    try:
        with connection.connect(data.access) as pool:
            message = datastore_message.refuse(pool, data.datastore_id, why, now)
    except (OneDRError, rados.Error) as error:
        log.warning(f"the refusal is not kept in the pool: {error}")
        message = datastore_message.refusal_message(why, now)
    try:
        frontend.update_datastore(data.datastore_id, (("DR_MESSAGE", message),))
    except FrontEndError as silent:
        log.warn_oned(f"DR_MESSAGE not written: {silent}")


def _whole(outcome: Outcome | enable.ConversionOutcome | None) -> None:
    """Raises PartialError when something failed; None is the outcome of a dry run."""
    if outcome is not None and outcome.failed:
        raise PartialError(outcome.message)


def _reprotect(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data, not request.dry_run):
        _whole(reprotect.reprotect(_datastore(data), request, emit, frontend))


def _status(data: ActionData, _: Request) -> None:
    kind, driver = (data.datastore.findtext(key, "") for key in ("TYPE", "DS_MAD"))
    beyond = scope_rules.out_of_scope(data.datastore_name, kind, driver)
    emit(beyond or status.status(_datastore(data), FrontEnd()))


def _observe(data: ActionData, _: Request) -> None:
    emit(metrics_collect.observe(_datastore(data), FrontEnd()))


def _reconcile(data: ActionData, _: Request) -> None:
    frontend, target = FrontEnd(), _datastore(data)
    report = reconcile.reconcile(target, frontend)
    target = datastores.from_element(frontend.datastore(target.datastore_id))  # it may have been put right
    status.show_status(target, frontend)
    emit(report.as_event())
    if report.failed:
        raise PartialError(f"{len(report.failed)} item(s) could not be repaired; see onedr status.")


def _enable(data: ActionData, request: Request) -> None:
    _whole(enable.enable(data.datastore_id, request, emit, FrontEnd()))


def _disable(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data, not request.dry_run and data.datastore.findtext("DS_MAD") == DRIVER):
        _whole(disable.disable(data.datastore_id, request, emit, frontend))


def _pause(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with _refusal_shown(frontend, data):
        emit(ProgressEvent(pause.set_paused(_datastore(data), request, frontend)))


def _drill(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    words = tuple(value for key, value in request.attributes if key == "COMMAND")
    port = parsing.count(template.get(request.attributes, "PORT", "0"), "PORT")
    if not port < 1 << 16:
        raise InputError(f"{port} is not a TCP port; give one from 1 to 65535.")
    with _refusal_shown(frontend, data, not request.dry_run):
        checks = drill_checks.Checks(port, words)
        _whole(drill_run.drill(_datastore(data), request, checks, emit, frontend))


def _drill_cleanup(data: ActionData, request: Request) -> None:
    _whole(drill_cleanup.cleanup(_datastore(data), request, emit, FrontEnd()))


def _drill_report(data: ActionData, _: Request) -> None:
    found, saved = drill_report.last_report(data.datastore_id)
    files = {"json": str(saved.json), "page": str(saved.html), "sha256": saved.digest}
    emit(DrillReportEvent(found, files))


def _history(data: ActionData, request: Request) -> None:
    """All runs, or the one named by the attribute RUN; or whether they are as they were left (VERIFY)."""
    wanted = template.get(request.attributes, "RUN")
    with connection.connect(data.access) as pool:
        if ("VERIFY", "YES") in request.attributes:
            emit(ChainEvent(data.datastore_name, **vars(journal.verify_chain(pool))))
            return
        runs = journal.load_runs(pool)
        in_progress, measured = journal.in_progress(pool, runs), journal.load_measured(pool)
    if wanted and wanted not in runs:
        name = data.datastore_name
        raise InputError(f"There is no run {wanted!r} on {name}; onedr history {name} lists them.")
    shown = {
        name: history.with_measured(history.judged(run, in_progress), measured.get(name, {}))
        for name, run in runs.items() if wanted in ("", name)
    }
    emit(HistoryEvent(data.datastore_name, {name: run.to_json() for name, run in shown.items()}))


def _kept(data: ActionData, request: Request) -> None:
    """The preserved copies, after the one named by the attribute REMOVE was removed."""
    target, removed = _datastore(data), template.get(request.attributes, "REMOVE")
    if removed:
        reprotect.remove_kept(target, removed)
        log.info(f"preserved copy {removed} removed, asked by {request.by}")
    look = f"rbd device map --read-only {target.access.pool}"
    copies = tuple(
        PreservedCopyShown(**asdict(each), look=f"{look}/{each.name}")
        for each in reprotect.kept_copies(target)
    )
    emit(KeptEvent(target.name, copies))


def _snapshots(data: ActionData, request: Request) -> None:
    """The snapshots of disks, after those that are not listed here were (attribute LIST)."""
    frontend, target = FrontEnd(), _datastore(data)
    warnings: tuple[str, ...] = ()
    if ("LIST", "YES") in request.attributes:
        warnings = show_snapshots.list_all(target, frontend)
        log.info(f"disk snapshots listed, asked by {request.by}")
    emit(SnapshotsEvent(target.name, show_snapshots.shown(target, frontend), warnings))


def _points(data: ActionData, request: Request) -> None:
    point_actions.answer(_datastore(data), request)


def _recovery_plan(data: ActionData, request: Request) -> None:
    plan_actions.answer(_datastore(data), request)


def _map(data: ActionData, request: Request) -> None:
    """Show the mapping (a VERSION of it), draft one (DRAFT), or set the one in FILE."""
    # only here: a bridge host may lack PyYAML, and needs it for nothing else
    from onedr.mapping import run as mapping_run

    asked = dict(request.attributes)
    if "FILE" in asked:
        emit(mapping_run.set_map(_datastore(data), request, asked["FILE"], FrontEnd()))
    elif "DRAFT" in asked:
        emit(mapping_run.make_draft(_datastore(data), FrontEnd()))
    else:
        emit(mapping_run.show(_datastore(data), asked.get("VERSION", "")))


def _runbook(data: ActionData, _: Request) -> None:
    emit(runbook_collect.make(_datastore(data), FrontEnd()))


def _report(data: ActionData, request: Request) -> None:
    emit(report_collect.collect(_datastore(data), FrontEnd(), request))


def _plan(data: ActionData, request: Request) -> None:
    """Put the plan of the verb in the attribute PLAN into the document, as a dry run of it shows."""
    frontend, word = FrontEnd(), template.get(request.attributes, "PLAN").strip().upper()
    with _refusal_shown(frontend, data):
        if word not in PLANNED:
            raise RefusedError(Sentence(f"DR_PLAN={plain(word)[:20]} is none of {', '.join(PLANNED)}."))
        verb = word.lower()
        echo = document_echo.PlanEcho(_datastore(data), word, request)
        with heard_by(echo.take):
            try:
                _VERBS[verb](data, replace(request, verb=verb, dry_run=True))
            except (OneDRError, rados.Error, rbd.Error) as error:
                echo.failed(error)
                raise
            finally:
                echo.put()
                keeper_lock.wake_keeper(data.datastore_id)  # whoever asks looks at the rest of it too


def _check(data: ActionData, request: Request) -> None:
    """Read-only, except for the probe, which comes first."""
    try:
        target = _datastore(data)
    except InputError as error:
        name = data.datastore_name
        emit(CheckEvent(name, (check_run.bad_attributes(name, error),)))
        return
    if ("PROBE", "YES") in request.attributes:
        emit(check_run.probe(target, lambda text: emit(ProgressEvent(text))))
    emit(CheckEvent(target.name, check_run.described(check_run.check(target))))


def _rehearse(data: ActionData, request: Request) -> None:
    emit(rehearsal_run.rehearse(_datastore(data), request, emit, FrontEnd()))


_VERBS = {
    "move": _failover,
    "failover": _failover,
    "failback": _failover,
    "status": _status,
    "observe": _observe,
    "reconcile": _reconcile,
    "enable": _enable,
    "disable": _disable,
    "reprotect": _reprotect,
    "drill": _drill,
    "drill_cleanup": _drill_cleanup,
    "drill_report": _drill_report,
    "resume": _resume,
    "abort": _abort,
    "cancel": _cancel,
    "check": _check,
    "rehearse": _rehearse,
    "history": _history,
    "kept": _kept,
    "snapshots": _snapshots,
    "map": _map,
    "recovery_plan": _recovery_plan,
    "pause": _pause,
    "resume_protection": _pause,
    "points": _points,
    "runbook": _runbook,
    "report": _report,
    "plan": _plan,
}
