"""Recreate the peer's VMs here and start them; each step reads back what it promised."""
from __future__ import annotations

import time

from onedr.failover import peer_vms, vm_nics
from onedr.failover.locked_image import allocate_vm
from onedr.failover.target_site import Site, give
from onedr.host.paths import front_end_paths
from onedr.host.waiting import attempts
from onedr.model import template
from onedr.model.errors import FrontEndError, OneDRError, RecordError, TimedOutError
from onedr.model.records import Proof, VmRecord
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import vm_locks, vm_template
from onedr.opennebula.api import attributes, number
from onedr.opennebula.mapped import Owner
from onedr.opennebula.own_marks import NO_SECRETS
from onedr.replication import encryption, ledger, secrets
from onedr.replication.inventory import VmItem

_RUNNING = ("ACTIVE", 3)
_FAILURES = {14: "FAILURE", 36: "BOOT_FAILURE", 39: "PROLOG_FAILURE"}
_PAUSE_S = 0.3
PENDING_S = 20.0
STILL_PENDING = "is PENDING, as it was there"


def create_vm(site: Site, item: VmItem, start: bool) -> str:
    """Recreate a VM on hold, with its owner and permissions. Reads back its origin."""
    record = with_secrets(site, item)
    image_ids = {
        disk.disk_id: site.images[str(disk.rbd).rpartition("/")[2]]
        for disk in record.disks if disk.protected and str(disk.rbd).rpartition("/")[2] in site.images
    }
    built = vm_template.recreate(
        record, item.origin, item.envelope.site, image_ids, site.counterparts, start
    )
    for warning in (*built.warnings, *item.warnings):
        site.warn(item.origin, warning)
    vm_id = site.half_vms.get(item.origin)
    if vm_id is None:
        vm_id = allocate(site, (*built.template, (ledger.TOKEN, ledger.begin(site.pool, item.origin))))
    disks = peer_vms.of_element(site.frontend.vm(vm_id), site.pool.access.pool).images
    made = ledger.Entry(item.origin, tuple(sorted(disks)), start_pending=start)
    ledger.note(site.pool, "vm", vm_id, made)
    vm_nics.keep_to_asked(site.frontend, vm_id, built.template)
    give(site, "vm", vm_id, Owner(record.owner, record.group), record.permissions, item.origin)
    # As data: nothing of it is parsed or resolved,
    # and nothing that stood in for a value while the VM was made stays.
    marks = (*vm_locks.mark(record.template), *_without_secrets(record), (vm_template.FINISHED, "YES"))
    site.frontend.replace_vm(vm_id, (*built.user_template, *marks))
    found = attributes(site.frontend.vm(vm_id), "USER_TEMPLATE")
    if template.get(found, vm_template.ORIGIN) != item.origin:
        raise OneDRError(f"VM {vm_id} was created but does not carry its origin {item.origin}")
    ledger.change(site.pool, "vm", vm_id, finished=True)
    if not start:
        _lock_as_there(site, vm_id, found)
    return f"VM {vm_id}"


def _lock_as_there(site: Site, vm_id: int, user: template.Pairs) -> str:
    """Put its user's lock on, last of all: a locked VM takes no attributes."""
    return peer_vms.let_go(site.frontend, vm_id) if vm_locks.user_lock(user) else ""


def allocate(site: Site, description: template.Pairs) -> int:
    """Create a VM on hold. Returns its id. Raises FrontEndError; for an address in use OneDRError, named."""
    try:
        return allocate_vm(site.frontend, description)
    except FrontEndError as error:
        if "lease" not in str(error):
            raise
        # oned's sentence names neither the address nor what to do.
        wanted = ", ".join(
            address for nic in template.vectors(description, "NIC") if (address := template.get(nic, "IP"))
        )
        raise OneDRError(
            f"{error} Is {wanted or 'its address'} taken here? onevnet show tells by whom."
        ) from error


def with_secrets(site: Site, item: VmItem) -> VmRecord:
    """The VM's record with its secrets opened; what cannot be opened is left out, with a warning, and the
    part is marked as incomplete (secrets.WITHHELD): what it lacks was not taken off.
    """
    key = encryption.load_key(front_end_paths().record_key)
    parts = {}
    for part in ("template", "user_template"):
        pairs = getattr(item.record, part)
        sealed, withheld = template.get(pairs, secrets.ENCRYPTED), template.get(pairs, secrets.WITHHELD)
        clean = template.without(pairs, secrets.ENCRYPTED, secrets.WITHHELD)
        if withheld:
            site.warn(item.origin, f"secrets were not recorded, the peer has no record key: {withheld}")
        if sealed and key is None:
            site.warn(
                item.origin,
                f"secrets cannot be opened: there is no record key at {front_end_paths().record_key}",
            )
        if sealed and key:
            clean = secrets.restore_secrets(clean, opened_secrets(item, part, key, sealed))
        lacking = withheld or (sealed and key is None)
        parts[part] = (*clean, (secrets.WITHHELD, "YES")) if lacking else clean
    return VmRecord(**{**item.record.__dict__, **parts})


def _without_secrets(record: VmRecord) -> template.Pairs:
    marked = (*record.template, *record.user_template)
    return ((NO_SECRETS, "YES"),) if template.get(marked, secrets.WITHHELD) else ()


def opened_secrets(item: VmItem, part: str, key: encryption.RecordKey, sealed: str) -> template.Pairs:
    """The secrets of one part of a VM's record; those of another VM do not open: RecordError.

    Earlier releases bound them to no VM. An authentic record has none of that kind: who signs also binds.
    """
    try:
        return encryption.decrypt(key, sealed, item.origin, part)
    except RecordError:
        if item.envelope.proof is Proof.AUTHENTIC:
            raise
        return encryption.decrypt(key, sealed)


def start_vm(site: Site, vm_id: int, limit_s: float, was_pending: bool = False) -> str:
    """Release a VM from hold and wait until it runs. One that was PENDING there too (`was_pending`) may
    still be it after PENDING_S.

    Raises OneDRError when it cannot, TimedOutError that says where it stands when it does not by then.
    """
    vm = site.frontend.vm(vm_id)
    if opennebula_objects.vm_state(vm) == "HOLD":
        site.frontend.call("vm.action", "release", vm_id)
    site.frontend.update_vm(vm_id, ((vm_template.START_PENDING, "NO"),))
    ledger.change(site.pool, "vm", vm_id, start_pending=False)
    state, reason, begun = "", "", time.monotonic()
    for _ in attempts(limit_s, _PAUSE_S):
        vm = site.frontend.vm(vm_id)
        state, lcm = opennebula_objects.vm_state(vm), number(vm, "LCM_STATE")
        if (state, lcm) == _RUNNING:
            host = vm.findtext("HISTORY_RECORDS/HISTORY[last()]/HOSTNAME")
            return f"VM {vm_id} runs on {host}{_lock_as_there(site, vm_id, attributes(vm, 'USER_TEMPLATE'))}"
        reason = template.get(attributes(vm, "USER_TEMPLATE"), "ERROR") or template.get(
            attributes(vm, "USER_TEMPLATE"), "SCHED_MESSAGE")
        if lcm in _FAILURES or state in ("DONE", "FAILED"):
            raise OneDRError(
                f"VM {vm_id} did not start: {_FAILURES.get(lcm, state)} {reason}; onevm show {vm_id}"
            )
        if was_pending and state == "PENDING" and time.monotonic() - begun > PENDING_S:
            locked = _lock_as_there(site, vm_id, attributes(vm, "USER_TEMPLATE"))
            return f"VM {vm_id} {STILL_PENDING}{f': {reason}' if reason else ''}{locked}"
    raise TimedOutError(
        f"VM {vm_id} is still {state} after {limit_s:g} s; is a host free? {reason} onevm show {vm_id}"
    )
