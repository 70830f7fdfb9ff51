"""A VM changed state or definition: its record on its protected disks follows."""
from __future__ import annotations

import sys
import time

from onedr.errors import FrontEndError
from onedr.hook import payload
from onedr.ops import elsewhere, protected, record, wake
from onedr.policy import definition
from onedr.policy.vm_template import is_half_made, is_of_drill
from onedr.ports import ceph
from onedr.ports.frontend import NO_SUCH_OBJECT, FrontEnd, attributes


def main(_: list[str]) -> str:
    """Answers one line for the hook's log."""
    event = payload.read(sys.stdin.read())
    if not event.succeeded or event.object_id is None:
        return "nothing to do"
    return on_vm(FrontEnd(), event.object_id)


def on_vm(frontend: FrontEnd, vm_id: int) -> str:
    """Write the VM's record onto every protected disk, pool by pool."""
    now = time.time()
    try:
        element = frontend.vm(vm_id)
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return f"VM {vm_id} is gone"
        raise
    if definition.vm_state(element) in ("DONE", "CLONING"):
        return f"VM {vm_id} is {definition.vm_state(element)}"  # its images' own hooks take the record off
    if is_of_drill(attributes(element, "USER_TEMPLATE")):
        return f"VM {vm_id} belongs to a drill"
    if is_half_made(attributes(element, "USER_TEMPLATE")):
        return f"VM {vm_id} is still being taken over"
    datastores = protected.all_of(frontend)
    results: dict[str, str] = {}
    for datastore in datastores.values():
        if not _uses(element, datastore.datastore_id):
            continue
        if elsewhere.is_bridged(datastore.bridges):
            wake.keeper(datastore.datastore_id)  # it works on a bridge host and writes the record
            continue
        with ceph.connect(datastore.access) as pool:
            results.update(record.record_vm(pool, datastore.settings, element, datastores, now))
        wake.keeper(datastore.datastore_id)
    return f"VM {vm_id}: " + (", ".join(f"{name} {result}" for name, result in results.items()) or "no protected disk")


def _uses(vm: object, datastore_id: int) -> bool:
    disks = vm.iterfind("TEMPLATE/DISK/DATASTORE_ID")  # type: ignore[attr-defined]
    return any(disk.text == str(datastore_id) for disk in disks)
