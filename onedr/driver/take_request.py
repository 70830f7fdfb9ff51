"""Put a datastore's attributes right and take its action off, here or on a bridge host: the pool decides."""
from __future__ import annotations

import json

from onedr.ceph import connection
from onedr.driver import bridge_dispatch
from onedr.driver.bridge_dispatch import HandedOver
from onedr.model.template import Pairs
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import settle

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
