"""A datastore was created or updated: check its DR_ attributes, and start the action in DR_ACTION."""
from __future__ import annotations

import sys
import time

from lxml import etree

from onedr.driver import start_action
from onedr.hook import payload
from onedr.model import template
from onedr.model.errors import FrontEndError, InputError, RefusedError
from onedr.model.types import DRIVER
from onedr.opennebula import datastores
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes, number
from onedr.protection import keeper_lock
from onedr.runs.refusal_message import refusal_message
from onedr.runs.request import Request

_WORD = "DR_ACCEPT_UNSIGNED"
_LISTS = ("DR_LEAVE", "DR_TAKE")  # words: VM ids and image names of a move or failover


def main(_: list[str]) -> str:
    """Returns one line for the hook's log."""
    event = payload.read_event(sys.stdin.read())
    frontend = FrontEnd()
    if not event.succeeded:
        return "nothing to do"
    if event.object_id is None:  # a new datastore, whose id cannot be trusted: check all of ours
        for found in frontend.datastores():
            if found.findtext("DS_MAD") == DRIVER:
                on_datastore(frontend, found)
        return "checked all datastores"
    try:
        return on_datastore(frontend, frontend.datastore(event.object_id))
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return f"datastore {event.object_id} is gone"
        raise


def on_datastore(frontend: FrontEnd, element: etree._Element) -> str:
    """Handle one datastore as shown by the API. The event's own text is never trusted
    (docs/opennebula-facts.md O22).
    """
    pairs = attributes(element)
    if element.findtext("DS_MAD") != DRIVER:
        return "not a datastore with driver ceph_dr"
    datastore_id = number(element, "ID")
    verb = template.get(pairs, "DR_ACTION").strip().lower()
    try:
        datastore = datastores.from_element(element)
        if verb:
            by = f"a manager of {element.findtext('UNAME')}'s datastore"  # the API does not say who
            request = Request(
                verb=verb, confirm=template.get(pairs, "DR_CONFIRM"), by=by, trigger="DR_ACTION",
                accept_unsigned=template.get(pairs, _WORD).strip().upper() == "YES",
                attributes=tuple(
                    (key[len("DR_"):], word) for key in _LISTS for word in template.get(pairs, key).split()
                ),
            )
            _clear(frontend, datastore_id)
            start_action.start_detached(element, request)
            return f"started {verb}"
    except (InputError, RefusedError) as error:
        message = refusal_message(str(error), time.time()) if verb else str(error)
        _clear(frontend, datastore_id, message, template.get(pairs, "DR_MESSAGE"))
        return str(error)
    if template.get(pairs, _WORD):  # a word given without an action must not count for a later one
        frontend.update_datastore(datastore_id, ((_WORD, ""),))
    if datastore.settings.protect and not template.get(pairs, "DR_STATE"):
        # newly protected; the keeper's own passes detect later changes
        keeper_lock.wake_keeper(datastore_id)
    return "attributes are good"


def _clear(frontend: FrontEnd, datastore_id: int, message: str = "", shown: str = "") -> None:
    """Remove the request before it runs, so that it never runs twice.

    Our own update triggers the hook again.
    """
    found = attributes(frontend.datastore(datastore_id))
    changes = [(key, "") for key in ("DR_ACTION", "DR_CONFIRM", _WORD, *_LISTS) if template.get(found, key)]
    if message and message != shown:
        changes.append(("DR_MESSAGE", message))
    if changes:
        frontend.update_datastore(datastore_id, tuple(changes))
    if template.get(attributes(frontend.datastore(datastore_id)), "DR_ACTION"):
        raise FrontEndError(
            f"DR_ACTION of datastore {datastore_id} could not be removed, so nothing was started. Remove it "
            "with onedatastore update."
        )
