"""A VM changed state or definition: update its record on its protected disks.

What works on a pool is in vm_record.py: it is loaded for VMs with a disk in a protected datastore only.
"""
from __future__ import annotations

import time

from onedr.hook import payload
from onedr.hook.payload import Event
from onedr.model.errors import FrontEndError
from onedr.opennebula import datastores as opennebula_datastores
from onedr.opennebula import owners_word
from onedr.opennebula.api import NO_SUCH_OBJECT, FrontEnd


def on_event(event: Event) -> str:
    """Returns one line for the hook's log."""
    if event.object_id is None:
        return "nothing to do"
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
    datastores = opennebula_datastores.all_of(frontend)
    if not any(_uses(element, datastore_id) for datastore_id in datastores):
        return f"VM {vm_id}: no protected disk"
    from onedr.hook import vm_record

    why = vm_record.why_not(element)
    if why:
        return f"VM {vm_id} {why}"
    results: dict[str, str] = {}
    for datastore in datastores.values():
        if _uses(element, datastore.datastore_id):
            results.update(vm_record.record(frontend, datastore, element, datastores, now, changed_state))
    return f"VM {vm_id}: " + (
        ", ".join(f"{name} {result}" for name, result in results.items()) or "no protected disk"
    )


def _uses(vm: object, datastore_id: int) -> bool:
    disks = vm.iterfind("TEMPLATE/DISK/DATASTORE_ID")  # type: ignore[attr-defined]
    return any(disk.text == str(datastore_id) for disk in disks)
