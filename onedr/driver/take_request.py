"""Put a datastore's attributes right, take its action off or answer it, here or on a bridge host: the pool
decides, and keeps the answer.
"""
from __future__ import annotations

import json
import time
from contextlib import suppress

from onedr.ceph import connection
from onedr.driver import bridge_dispatch
from onedr.driver.bridge_dispatch import HandedOver
from onedr.model.template import Pairs
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import settle
from onedr.runs import datastore_message

_LIMIT_S = 15  # of every call to Ceph and to the front-end


def take_request(datastore_id: int) -> Pairs:
    """The request that may start now; empty for none. Raises OneDRError, rados.Error: then nothing may start.
    """
    bridge_dispatch.begin("onedr.driver.take_request:take_request_here", [str(datastore_id)])
    try:
        answer = take_request_here([str(datastore_id)])
    except HandedOver as done:
        answer = done.answer
    return tuple((str(key), str(value)) for key, value in json.loads(answer))


def take_request_here(words: list[str]) -> str:
    """`DATASTORE_ID`; the request as JSON."""
    datastore_id, frontend = int(words[0]), FrontEnd(limit_s=_LIMIT_S)
    pairs = attributes(frontend.datastore(datastore_id))
    bridge_dispatch.unless_here(pairs)
    with connection.connect(ceph_access(pairs), _LIMIT_S, _LIMIT_S) as pool:
        return json.dumps(settle.take_request(pool, datastore_id, frontend))


def answer(datastore_id: int, why: str) -> None:
    """Say in DR_MESSAGE why an action was refused, kept in the pool. Raises OneDRError, rados.Error."""
    words = [str(datastore_id), why]
    bridge_dispatch.begin("onedr.driver.take_request:answer_here", words)
    with suppress(HandedOver):
        answer_here(words)


def answer_here(words: list[str]) -> str:
    """`DATASTORE_ID WHY`"""
    datastore_id, frontend = int(words[0]), FrontEnd(limit_s=_LIMIT_S)
    pairs = attributes(frontend.datastore(datastore_id))
    bridge_dispatch.unless_here(pairs)
    with connection.connect(ceph_access(pairs), _LIMIT_S, _LIMIT_S) as pool:
        message = datastore_message.refuse(pool, datastore_id, words[1], time.time())
    frontend.update_datastore(datastore_id, (("DR_MESSAGE", message),))
    return ""
