"""The verb that looks for problems before the night."""
from __future__ import annotations

from onedr.check import run as check_run
from onedr.driver.decode import ActionData
from onedr.driver.tell import emit
from onedr.model.errors import InputError
from onedr.runs.answer_events import CheckEvent
from onedr.runs.events import ProgressEvent
from onedr.runs.request import Request


def check(data: ActionData, request: Request) -> None:
    """Read-only, except for the probe, which comes first."""
    try:
        target = data.target
    except InputError as error:
        name = data.datastore_name
        emit(CheckEvent(name, (check_run.bad_attributes(name, error),)))
        return
    if ("PROBE", "YES") in request.attributes:
        emit(check_run.probe(target, lambda text: emit(ProgressEvent(text))))
    emit(CheckEvent(target.name, check_run.described(check_run.check(target))))
