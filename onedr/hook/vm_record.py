"""The records of a VM in one pool, for its hook."""
from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

import rados
import rbd
from lxml import etree

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.run_made import is_of_run
from onedr.opennebula.vm_template import is_half_made
from onedr.protection import hook_lag, keeper_lock
from onedr.replication import reader_records, write_records


def why_not(element: etree._Element) -> str:
    """Why the VM has no record now; empty when it has one."""
    if is_of_run(element):
        return "belongs to a drill"
    return "is still being taken over" if is_half_made(attributes(element, "USER_TEMPLATE")) else ""


def record(
    frontend: FrontEnd, datastore: Datastore, element: etree._Element, datastores: Mapping[int, Datastore],
    now: float, changed_state: bool,
) -> dict[str, str]:
    """Record it on its disks of one datastore, and wake its keeper when anything changed. Returns what became
    of each disk.
    """
    if bridge_dispatch.is_bridged(datastore.bridges):
        keeper_lock.wake_keeper(datastore.datastore_id)  # it works on a bridge host and writes the record
        return {}
    with connection.connect(datastore.access) as pool:
        before = _recorded(pool, element, datastores) if changed_state else ""
        found = _record(frontend, pool, datastore, element, datastores, now)
        if before and "written" in found.values():
            _note_wait(pool, datastore.datastore_id, element, before)
    if set(found.values()) != {"unchanged"}:
        keeper_lock.wake_keeper(datastore.datastore_id)
    return found


def _record(
    frontend: FrontEnd, pool: Pool, datastore: Datastore, element: etree._Element,
    datastores: Mapping[int, Datastore], now: float,
) -> dict[str, str]:
    """Of a VM that is gone nothing is written: the hooks of its images remove what is on its disks."""
    written: dict[str, str] = {}
    if opennebula_objects.vm_state(element) != "DONE":
        around = write_records.surroundings(pool, frontend, datastores, frontend.networks, element)
        written = write_records.record_vm(pool, datastore.settings, element, datastores, now, around)
    gone = reader_records.forget(pool, element, written)
    return {**dict.fromkeys(gone, "no longer has its record"), **written}


def _recorded(pool: Pool, element: etree._Element, datastores: Mapping[int, Datastore]) -> str:
    """The state that the VM's record says; empty where none can be read, which recording it reports."""
    body = opennebula_objects.vm_record(element, datastores.keys())
    disks = write_records.disks_to_record(body, pool.access.pool)
    with suppress(rbd.Error, OneDRError):
        return write_records.recorded_state(pool, disks[0]) if disks else ""
    return ""


def _note_wait(pool: Pool, datastore_id: int, element: etree._Element, before: str) -> None:
    """Not of a VM that runs again after a disk was attached: it came into that state long ago."""
    since = opennebula_objects.state_since(element)
    if since is not None and opennebula_objects.vm_state(element) != before:
        try:
            hook_lag.note(pool, datastore_id, time.time(), since)
        except rados.Error as error:  # it is recorded, which is what counts
            log.warning(f"how long the hook took is not noted: {error}")
