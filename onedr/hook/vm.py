"""A VM changed state or definition: update its record on its protected disks."""
from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import suppress

import rados
import rbd
from lxml import etree

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch
from onedr.hook import payload
from onedr.host import log
from onedr.model.errors import FrontEndError, OneDRError
from onedr.opennebula import datastores as opennebula_datastores
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import owners_word
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd, attributes
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.run_made import is_of_run
from onedr.opennebula.vm_template import is_half_made
from onedr.protection import hook_lag, keeper_lock
from onedr.replication import reader_records, write_records


def main(_: list[str]) -> str:
    """Returns one line for the hook's log."""
    event = payload.read_event(sys.stdin.read())
    if not event.succeeded or event.object_id is None:
        return "nothing to do"
    if event.only_shows:
        return f"VM {event.object_id}: only what OneDR shows on it changed"
    return on_vm(FrontEnd(), event.object_id, event.call == payload.STATE)


def on_vm(frontend: FrontEnd, vm_id: int, changed_state: bool = False) -> str:
    """Write the VM's record to each of its protected disks, pool by pool, and take off images that it reads
    through what an earlier one left there. Of a change of its state it is noted how long that waited.
    """
    now = time.time()
    try:
        element = owners_word.read_vm(frontend, vm_id)
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return f"VM {vm_id} is gone"
        raise
    if is_of_run(element):
        return f"VM {vm_id} belongs to a drill"
    if is_half_made(attributes(element, "USER_TEMPLATE")):
        return f"VM {vm_id} is still being taken over"
    datastores = opennebula_datastores.all_of(frontend)
    results: dict[str, str] = {}
    for datastore in datastores.values():
        if not _uses(element, datastore.datastore_id):
            continue
        if bridge_dispatch.is_bridged(datastore.bridges):
            keeper_lock.wake_keeper(datastore.datastore_id)  # it works on a bridge host and writes the record
            continue
        with connection.connect(datastore.access) as pool:
            before = _recorded(pool, element, datastores) if changed_state else ""
            found = _record(frontend, pool, datastore, element, datastores, now)
            if before and "written" in found.values():
                _note_wait(pool, datastore.datastore_id, element, before)
        results.update(found)
        if set(found.values()) != {"unchanged"}:
            keeper_lock.wake_keeper(datastore.datastore_id)
    return f"VM {vm_id}: " + (
        ", ".join(f"{name} {result}" for name, result in results.items()) or "no protected disk"
    )


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


def _uses(vm: object, datastore_id: int) -> bool:
    disks = vm.iterfind("TEMPLATE/DISK/DATASTORE_ID")  # type: ignore[attr-defined]
    return any(disk.text == str(datastore_id) for disk in disks)
