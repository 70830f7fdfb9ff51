"""Small VMs without a disk that are powered off: oned lists snapshots only of a disk of such a VM.

They are oneadmin's, on no network, and removed when the run ends; what a killed run left is removed by the
next one that needs one.
"""
from __future__ import annotations

import threading

from lxml import etree

from onedr.failover.powered_off import settle
from onedr.host.waiting import attempts
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.vm_template import CARRIER

_NAME = "onedr-snapshots"
_STARTS_S = 60
_PAUSE_S = 0.3
_SYSTEM_DS = "1"
_RECOVER_DELETE = 3  # in any state
_FAILED = (14, 36, 39)  # FAILURE, BOOT_FAILURE, PROLOG_FAILURE


class Carriers:
    """The carriers of one run; any number of threads may take one each."""

    def __init__(self, frontend: FrontEnd, datastore_id: int):
        self._frontend, self._datastore_id = frontend, datastore_id
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._began = False
        self._why_none = ""

    def take(self) -> int:
        """A powered-off VM without disks. Raises OneDRError when none can be had;
        asked again it says so at once.
        """
        with self._lock:
            if self._why_none:
                raise OneDRError(self._why_none)
            if not self._began:
                self._remove(_left_over(self._frontend))
            self._began = True
            if self._free:
                return self._free.pop()
        try:
            return self._make()
        except OneDRError as error:
            self._why_none = f"no small VM could be started to list them in ({error})"
            raise OneDRError(self._why_none) from error

    def give_back(self, vm_id: int) -> None:
        """It has no disk again."""
        with self._lock:
            self._free.append(vm_id)

    def drop(self, vm_id: int) -> None:
        """Something went wrong with it: its disk is free once it is gone."""
        self._remove([vm_id])

    def close(self) -> None:
        """Remove them all."""
        with self._lock:
            self._remove(self._free)
            self._free = []

    def _make(self) -> int:
        vm_id = self._frontend.allocate_vm((
            ("NAME", _NAME), ("CPU", "0.01"), ("MEMORY", "64"), (CARRIER, "YES"), *self._place(),
        ))
        try:
            self._frontend.call("vm.action", "release", vm_id)
            self._wait(vm_id, ("ACTIVE", 3))
            self._frontend.call("vm.action", "poweroff-hard", vm_id)
            self._wait(vm_id, ("POWEROFF", 0))
        except OneDRError:
            self._remove([vm_id])
            raise
        return vm_id

    def _place(self) -> template.Pairs:
        """On a system datastore of the image datastore's driver: its disks can be plugged in there only."""
        found = self._frontend.datastores()
        own = next(each for each in found if number(each, "ID") == self._datastore_id)
        fitting = [
            f'ID = "{each.findtext("ID")}"' for each in found
            if each.findtext("TYPE") == _SYSTEM_DS and each.findtext("TM_MAD") == own.findtext("TM_MAD")
        ]
        return (("SCHED_DS_REQUIREMENTS", " | ".join(fitting)),) if fitting else ()

    def _wait(self, vm_id: int, wanted: tuple[str, int]) -> None:
        for last in attempts(_STARTS_S, _PAUSE_S):
            vm = self._frontend.vm(vm_id)
            state, lcm = opennebula_objects.vm_state(vm), number(vm, "LCM_STATE")
            if (state, lcm) == wanted:
                return
            if last or lcm in _FAILED:
                said = template.get(attributes(vm, "USER_TEMPLATE"), "SCHED_MESSAGE")
                raise OneDRError(f"VM {vm_id} is {state} (LCM {lcm}) instead of {wanted[0]}. {said}".strip())

    def _remove(self, vm_ids: list[int]) -> None:
        """With a disk by termination: deletion would put its image in ERROR (docs/opennebula-facts.md O9).
        """
        for vm_id in vm_ids:
            if any(template.vectors(attributes(self._frontend.vm(vm_id)), "DISK")):
                settle(self._frontend, vm_id)
                self._frontend.call("vm.action", "terminate-hard", vm_id)
            else:
                self._frontend.call("vm.recover", vm_id, _RECOVER_DELETE)


def _left_over(frontend: FrontEnd) -> list[int]:
    return [number(vm, "ID") for vm in frontend.vms() if is_carrier(vm)]


def is_carrier(vm: etree._Element) -> bool:
    """Is this VM one of ours? Its mark alone is a text that any user can write."""
    marked = template.get(attributes(vm, "USER_TEMPLATE"), CARRIER)
    return bool(marked) and vm.findtext("UID") == "0" and vm.findtext("NAME") == _NAME
