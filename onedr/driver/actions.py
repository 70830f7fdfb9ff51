"""DR actions on a datastore. Called as oned calls its own actions; events are lines of JSON (runs/events.py).
"""
from __future__ import annotations

import os
import sys
from typing import NoReturn

import rados
import rbd

from onedr.driver import bridge_dispatch, decode, start_action, verbs
from onedr.driver.bridge_dispatch import HandedOver
from onedr.driver.decode import ActionData
from onedr.driver.tell import emit, heard_by
from onedr.host import log
from onedr.model.errors import OneDRError, StorageError, UnexpectedError
from onedr.model.text import pasteable
from onedr.runs.events import ErrorEvent
from onedr.runs.request import Request
from onedr.runs.state import RUN_VERBS

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
        _perform(data, start_action.read_request(data.root, verb))
    except OneDRError as error:
        error.args = (pasteable(str(error), data.datastore_name),)
        error.public = pasteable(error.public, data.datastore_name)
        raise
    return ""


def _perform(data: ActionData, request: Request) -> None:
    """A run is shown in the datastore's document too."""
    if request.verb not in RUN_VERBS or request.dry_run:
        verbs.perform(data, request)
        return
    from onedr.driver.document_echo import RunEcho  # only here: looking at things needs no document

    echo = RunEcho(data.target, request)
    with heard_by(echo.take):
        try:
            verbs.perform(data, request)
        finally:
            echo.close()


def _fail(error: OneDRError) -> int:
    log.error(f"{error} [{error.word}]")
    emit(ErrorEvent(type(error).__name__, str(error), error.word))
    print(error, file=sys.stderr)
    return error.exit_code
