"""The verbs that begin, end and pause the protection of a datastore."""
from __future__ import annotations

from onedr.driver.decode import ActionData
from onedr.driver.refusal import refusal_shown, whole
from onedr.driver.tell import emit
from onedr.model.types import DRIVER
from onedr.opennebula.api import FrontEnd
from onedr.protection import disable as protection_disable
from onedr.protection import enable as protection_enable
from onedr.protection import pause as protection_pause
from onedr.runs.events import ProgressEvent
from onedr.runs.request import Request


def enable(data: ActionData, request: Request) -> None:
    whole(protection_enable.enable(data.datastore_id, request, emit, FrontEnd()))


def disable(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with refusal_shown(frontend, data, not request.dry_run and data.datastore.findtext("DS_MAD") == DRIVER):
        whole(protection_disable.disable(data.datastore_id, request, emit, frontend))


def pause(data: ActionData, request: Request) -> None:
    frontend = FrontEnd()
    with refusal_shown(frontend, data):
        emit(ProgressEvent(protection_pause.set_paused(data.target, request, frontend)))
