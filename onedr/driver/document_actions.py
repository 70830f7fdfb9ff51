"""The action `plan`: puts the plan of a verb into the datastore's document."""
from __future__ import annotations

from dataclasses import replace

import rados
import rbd

from onedr.document.action_rules import PLANNED
from onedr.driver import document_echo, verbs
from onedr.driver.decode import ActionData
from onedr.driver.refusal import refusal_shown
from onedr.driver.tell import heard_by
from onedr.model import template
from onedr.model.errors import OneDRError, RefusedError, plain
from onedr.model.text import Sentence
from onedr.opennebula.api import FrontEnd
from onedr.protection import keeper_lock
from onedr.runs.request import Request


def plan(data: ActionData, request: Request) -> None:
    """Put the plan of the verb in the attribute PLAN into the document, as a dry run of it shows."""
    frontend, word = FrontEnd(), template.get(request.attributes, "PLAN").strip().upper()
    with refusal_shown(frontend, data):
        if word not in PLANNED:
            raise RefusedError(Sentence(f"DR_PLAN={plain(word)[:20]} is none of {', '.join(PLANNED)}."))
        verb = word.lower()
        echo = document_echo.PlanEcho(data.target, word, request)
        with heard_by(echo.take):
            try:
                verbs.perform(data, replace(request, verb=verb, dry_run=True))
            except (OneDRError, rados.Error, rbd.Error) as error:
                echo.failed(error)
                raise
            finally:
                echo.put()
                keeper_lock.wake_keeper(data.datastore_id)  # whoever asks looks at the rest of it too
