"""DR_STATE and DR_RECOVERY_POINT of VMs, written by the keeper of the site where the VMs are
(docs/attributes.md). A display that nothing reads; the rules are in vm_shown_rules.
"""
from __future__ import annotations

import time

from lxml import etree

from onedr.host import log
from onedr.model import template
from onedr.model.errors import FrontEndError, InputError, OneDRError, StorageError
from onedr.model.template import Pairs
from onedr.model.types import Role, Settings
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import NO_SUCH_OBJECT, NOT_ALLOWED, FrontEnd, attributes, number
from onedr.opennebula.own_marks import VM_SHOWN
from onedr.opennebula.vm_template import is_half_made
from onedr.protection import status, vm_shown_rules
from onedr.protection.status import StatusView
from onedr.protection.vm_shown_rules import POINT, STATE, Shown

_GONE_OR_LOCKED = (NO_SUCH_OBJECT, NOT_ALLOWED)


class VmDisplay:
    """What a keeper still has to write on VMs, and how much of it now."""

    def __init__(self, datastore_id: int, frontend: FrontEnd):
        self._id, self._frontend = datastore_id, frontend
        self._wanted: dict[int, Pairs] = {}
        self._line: tuple[int, ...] = ()
        self._allowance, self._at = 0.0, time.monotonic()

    def take(self, seen: StatusView, settings: Settings) -> None:
        """Compare what a pass saw with what the VMs show."""
        own = seen.verdict.role is Role.PRIMARY and settings.protect
        self._wanted = _wanted(self._id, seen, settings) if own else {}
        self._line = vm_shown_rules.in_line(self._line, self._wanted.keys())

    def turn(self) -> None:
        """Write as many as may be written now. What oned refuses waits for the next pass."""
        now = time.monotonic()
        self._allowance = vm_shown_rules.allowance(self._allowance, now - self._at)
        self._at = now
        while self._line and self._allowance >= 1:
            vm_id, self._line = self._line[0], self._line[1:]
            self._allowance -= 1
            try:
                self._frontend.update_vm(vm_id, self._wanted[vm_id])
            except FrontEndError as error:
                if error.code not in _GONE_OR_LOCKED:
                    log.warning(f"VM {vm_id} does not show its state: {error}")
                    return


def _wanted(datastore_id: int, seen: StatusView, settings: Settings) -> dict[int, Pairs]:
    """By VM, the attributes to be written, of those that show something else. A locked VM takes none."""
    items = {item.name: item for item in seen.items}
    points = {fact.name: status.point_of(fact, seen) for fact in seen.facts if fact.mode is not None}
    found: dict[int, Pairs] = {}
    for vm in seen.objects.vms:
        user = attributes(vm, "USER_TEMPLATE")
        if vm.find("LOCK") is not None or is_half_made(user):
            continue
        try:
            disks = vm_shown_rules.disks_of(vm, seen.objects.protected)
        except InputError:
            continue  # reconcile reports it
        if disks.datastore_id != datastore_id:
            continue
        wanted = vm_shown_rules.shown(
            settings, user,
            [items[name] for name in disks.names if name in items],
            [points[name] for name in disks.names if name in points],
            status.is_unseen(seen.copies), seen.paused,
        )
        if vm_shown_rules.differs(user, wanted):
            found[disks.vm_id] = _written(user, wanted)
    return found


def _written(user: Pairs, wanted: Shown) -> Pairs:
    """Of a recovery point that is not known nothing may stay."""
    at = "" if wanted.point is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wanted.point))
    return ((STATE, wanted.state.value), *(((POINT, at),) if at or template.get(user, POINT) else ()))


def remove(frontend: FrontEnd, datastore_id: int) -> dict[str, str]:
    """Take the attributes off every VM that uses a datastore. Returns, by VM, why one keeps them.

    Only a replacing update removes an attribute (docs/opennebula-facts.md O5): it contains all others as they
    are at that moment.
    """
    left = {}
    for vm in opennebula_objects.vms_of_datastore(frontend.vms(), datastore_id):
        if not _shows(vm):
            continue
        vm_id = number(vm, "ID")
        try:
            _remove(frontend, vm_id)
        except OneDRError as error:
            left[f"VM {vm_id}"] = f"it still shows {', '.join(VM_SHOWN)}: {error}"
    return left


def _shows(vm: etree._Element) -> bool:
    return any(key in VM_SHOWN for key, _ in attributes(vm, "USER_TEMPLATE"))


def _remove(frontend: FrontEnd, vm_id: int) -> None:
    kept = template.without(attributes(frontend.vm(vm_id), "USER_TEMPLATE"), *VM_SHOWN)
    frontend.replace_vm(vm_id, kept)
    after = frontend.vm(vm_id)
    lost = [key for key, value in kept if (key, value) not in attributes(after, "USER_TEMPLATE")]
    if lost or _shows(after):
        named = ", ".join(lost) or "nothing"
        raise StorageError(f"its attributes changed meanwhile; {named} was lost: see onevm show {vm_id}")
