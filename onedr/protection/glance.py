"""A glance at what a keeper's pass depends on: is a pass needed? It reads roles and names,
nothing of the images themselves.
"""
from __future__ import annotations

import hashlib
from collections.abc import Iterator

from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError
from onedr.model.types import Settings
from onedr.opennebula import datastores
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd
from onedr.replication import peer_ceph

_MEASURED = frozenset({"TOTAL_MB", "FREE_MB", "USED_MB"})  # by oned, all the time
# by keepers
_SHOWN = frozenset({"DR_STATE", "DR_ROLE", "DR_MESSAGE", "DR_PROTECTED", "DR_RECOVERY_POINT", "DR_DOCUMENT"})


def look(pool: Pool, datastore_id: int, frontend: FrontEnd) -> str:
    """A checksum; another one means that something changed. Raises rados.Error and OneDRError."""
    found = hashlib.sha256()
    element = frontend.datastore(datastore_id)
    for part in (*_ceph(pool, datastores.from_element(element).settings), *_datastore(element)):
        found.update(part)
    for image in frontend.images():
        found.update(etree.tostring(image))
    for vm in frontend.vms():
        for lasting in opennebula_objects.lasting_parts(vm):
            found.update(lasting)
    return found.hexdigest()


def _ceph(pool: Pool, settings: Settings) -> Iterator[bytes]:
    """Images and roles here, and those there, or that they cannot be read."""
    yield _images(pool)
    sight = peer_ceph.probe_peer(pool, settings)
    yield sight.peer.value.encode()
    try:
        with peer_ceph.peer_pool(sight, pool.access.pool) as (there, _):
            if there is not None:
                yield _images(there)
    except OneDRError:
        yield b"unread"


def _images(pool: Pool) -> bytes:
    """With their ids: a copy that is made again has another one."""
    ids = sorted((str(entry["name"]), str(entry["id"])) for entry in pool.rbd.list2(pool.io))
    return f"{ids} {sorted(mirroring.roles(pool).items())}".encode()


def _datastore(element: etree._Element) -> Iterator[bytes]:
    for each in (*element, *element.iterfind("TEMPLATE/*")):
        if each.tag not in _MEASURED | _SHOWN | {"TEMPLATE"}:
            yield etree.tostring(each)
