"""A datastore was created or updated: put its DR_ attributes right, and start the action in DR_ACTION."""
from __future__ import annotations

import time
from typing import TYPE_CHECKING

from lxml import etree

from onedr.ceph.failures import ceph_errors
from onedr.hook import settled_note
from onedr.hook.payload import Event
from onedr.host import log
from onedr.model import template
from onedr.model.errors import FrontEndError, InputError, OneDRError, RefusedError
from onedr.model.template import Pairs
from onedr.model.types import DRIVER, STOCK_DRIVER
from onedr.opennebula import datastores
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes, number
from onedr.protection import keeper_lock, settle_rules

if TYPE_CHECKING:
    from onedr.runs.request import Request

_LISTS = ("DR_LEAVE", "DR_TAKE")  # words: VM ids and image names of a move or failover
_ALONE = (settle_rules.PLAN, settle_rules.REQUEST)  # one value: a verb to plan, an id of whoever asks
_IMAGE_DATASTORE = "0"


def on_event(event: Event) -> str:
    """Returns one line for the hook's log."""
    frontend = FrontEnd()
    if event.object_id is None:  # a new datastore, whose id cannot be trusted: check all of ours
        return _check_all(frontend)
    try:
        return on_datastore(frontend, frontend.datastore(event.object_id))
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return f"datastore {event.object_id} is gone"
        raise


def take_request(datastore_id: int) -> Pairs:
    """driver.take_request, with all that works on a pool, for the datastores whose pool must be asked."""
    from onedr.driver.take_request import take_request

    return take_request(datastore_id)


def answer(datastore_id: int, why: str) -> None:
    """The same of its answer."""
    from onedr.driver.take_request import answer

    answer(datastore_id, why)


def _check_all(frontend: FrontEnd) -> str:
    """One datastore whose pool does not answer never stops the others."""
    failed = []
    for found in frontend.datastores():
        if found.findtext("DS_MAD") == DRIVER:
            try:
                on_datastore(frontend, found)
            except ceph_errors(OneDRError) as error:
                failed.append(f"{found.findtext('NAME')}: {error}")
    if failed:
        raise OneDRError("; ".join(failed))
    return "checked all datastores"


def on_datastore(frontend: FrontEnd, element: etree._Element) -> str:
    """Handle one datastore as shown by the API. The event's own text is never trusted
    (docs/opennebula-facts.md O22). A stock one may be ours, with the drivers that an old page wrote back.
    """
    driver, datastore_id = element.findtext("DS_MAD"), number(element, "ID")
    if driver not in (DRIVER, STOCK_DRIVER) or element.findtext("TYPE") != _IMAGE_DATASTORE:
        return "not an image datastore of Ceph"
    seen = element
    request: Pairs = ()
    if not settled_note.is_settled(seen):  # an update may have taken all DR_ attributes away: the pool knows
        try:
            request = take_request(datastore_id)
        except ceph_errors(OneDRError) as error:
            if driver == STOCK_DRIVER:
                return f"a stock datastore; whether it was protected is not known: {error}"
            _take_off(frontend, datastore_id, str(error))
            raise
        element = frontend.datastore(datastore_id)
        settled_note.note_settled(seen, element)
    if element.findtext("DS_MAD") != DRIVER:
        return "a stock datastore"
    return _start(frontend, seen, element, request)


def _start(frontend: FrontEnd, seen: etree._Element, element: etree._Element, request: Pairs) -> str:
    """Start what was asked for, or wake the keeper. `seen`: the datastore before it was put right."""
    datastore_id = number(element, "ID")
    try:
        datastore = datastores.from_element(element)
        if request:
            from onedr.driver import start_action

            start_action.start_detached(element, _request(request, str(element.findtext("UNAME"))))
            return f"started {template.get(request, settle_rules.ACTION).strip().lower()}"
    except (InputError, RefusedError) as error:
        if request:
            _refuse(frontend, datastore_id, str(error))
        elif template.get(attributes(element), "DR_MESSAGE") != str(error):
            frontend.update_datastore(datastore_id, (("DR_MESSAGE", str(error)),))
        return str(error)
    if _shows_what_was(attributes(seen), attributes(element), datastore.settings.protect):
        keeper_lock.wake_keeper(datastore_id)  # its own passes detect later changes
    return "attributes are good"


def _shows_what_was(before: Pairs, after: Pairs, protect: bool) -> bool:
    """Was protection begun, ended or put back, or did an old page write an old state?"""
    state = template.get(after, "DR_STATE")
    changed = protect == (state in ("", "UNPROTECTED"))
    return changed or template.get(before, settle_rules.SEQ) != template.get(after, settle_rules.SEQ)


def _request(taken: Pairs, owner: str) -> Request:
    """The request that was taken off. The API does not say who set it."""
    from onedr.runs.request import Request

    return Request(
        verb=template.get(taken, settle_rules.ACTION).strip().lower(),
        confirm=template.get(taken, "DR_CONFIRM"),
        by=f"a manager of {owner}'s datastore",
        trigger="DR_ACTION",
        accept_unsigned=template.get(taken, "DR_ACCEPT_UNSIGNED").strip().upper() == "YES",
        attributes=(
            *((key[len("DR_"):], word) for key in _LISTS for word in template.get(taken, key).split()),
            *((key[len("DR_"):], template.get(taken, key)) for key in _ALONE if template.get(taken, key)),
        ),
    )


def _take_off(frontend: FrontEnd, datastore_id: int, why: str) -> None:
    """Where the pool cannot be asked nothing starts, and nothing waits for the pool to come back.

    Without its counter the datastore gets a new one then, which no page knows. The keeper keeps the answer in
    the pool when it comes back.
    """
    found = attributes(frontend.datastore(datastore_id))
    action = template.get(found, settle_rules.ACTION)
    if action:
        cleared = tuple((key, "") for key in (*settle_rules.WORDS, settle_rules.SEQ))
        from onedr.runs.datastore_message import refusal_message

        message = refusal_message(f"DR_ACTION={action} was taken off: {why}", time.time())
        frontend.update_datastore(datastore_id, (*cleared, ("DR_MESSAGE", message)))


def _refuse(frontend: FrontEnd, datastore_id: int, why: str) -> None:
    try:
        answer(datastore_id, why)
    except ceph_errors(OneDRError) as error:
        log.warning(f"the answer is not kept in the pool: {error}")
        from onedr.runs.datastore_message import refusal_message

        frontend.update_datastore(datastore_id, (("DR_MESSAGE", refusal_message(why, time.time())),))
