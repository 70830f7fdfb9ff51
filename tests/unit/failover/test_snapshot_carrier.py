"""The small VMs in which snapshots are listed: one at a time in use, none left, and nobody else's VM touched."""
from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from onedr.failover import snapshot_carrier
from onedr.failover.snapshot_carrier import Carriers
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.opennebula.run_made import is_carrier
from onedr.opennebula.vm_template import CARRIER

_STORES = (
    "<X><DATASTORE><ID>1</ID><TYPE>0</TYPE><TM_MAD>ceph_dr</TM_MAD></DATASTORE>"
    "<DATASTORE><ID>0</ID><TYPE>1</TYPE><TM_MAD>ssh</TM_MAD></DATASTORE>"
    "<DATASTORE><ID>7</ID><TYPE>1</TYPE><TM_MAD>ceph_dr</TM_MAD></DATASTORE></X>"
)


class Here:
    """A front-end. `runs`: whether a VM that is released ever runs."""

    def __init__(self, *vms: str, runs: bool = True):
        self.found = {int(str(vm.findtext("ID"))): vm for vm in map(etree.fromstring, vms)}
        self.runs, self.calls, self.described = runs, [], []  # type: ignore[var-annotated]

    def datastores(self) -> list[etree._Element]:
        return list(etree.fromstring(_STORES))

    def vms(self) -> list[etree._Element]:
        return list(self.found.values())

    def vm(self, vm_id: int) -> etree._Element:
        return self.found[vm_id]

    def allocate_vm(self, description: template.Pairs) -> int:
        vm_id = 100 + len(self.described)
        self.described.append(description)
        self.found[vm_id] = etree.fromstring(vm(vm_id, state=2))
        return vm_id

    def call(self, method: str, *arguments: Any) -> None:
        self.calls.append((method, *arguments))
        state, lcm = {"release": (3, 3) if self.runs else (1, 0)}.get(str(arguments[0]), (8, 0))
        if method == "vm.action":
            of = self.found[arguments[1]]
            etree.SubElement(of, "STATE").text, etree.SubElement(of, "LCM_STATE").text = str(state), str(lcm)
            for old in (of.find("STATE"), of.find("LCM_STATE")):
                assert old is not None
                of.remove(old)


def vm(vm_id: int, uid: int = 0, name: str = "onedr-snapshots", disk: str = "", state: int = 8, mark: str = CARRIER) -> str:
    return (
        f"<VM><ID>{vm_id}</ID><UID>{uid}</UID><NAME>{name}</NAME><STATE>{state}</STATE><LCM_STATE>0</LCM_STATE>"
        f"<TEMPLATE>{disk}</TEMPLATE><USER_TEMPLATE><{mark}>YES</{mark}></USER_TEMPLATE></VM>"
    )


def carriers(here: Here) -> Carriers:
    return Carriers(here, 1)  # type: ignore[arg-type]


def test_one_is_used_again_and_removed_in_the_end() -> None:
    here = Here()
    made = carriers(here)
    vm_id = made.take()
    assert made.take() != vm_id, "another thread needs another one"
    made.give_back(vm_id)
    assert made.take() == vm_id
    made.give_back(vm_id)
    made.close()
    assert here.calls[-1] == ("vm.recover", vm_id, 3)


def test_it_goes_where_the_datastores_disks_can_be_plugged_in() -> None:
    here = Here()
    carriers(here).take()
    assert template.get(here.described[0], "SCHED_DS_REQUIREMENTS") == 'ID = "7"'
    assert not any(template.get(here.described[0], key) for key in ("DISK", "NIC"))


def test_what_a_killed_run_left_goes_first_by_termination_where_it_has_a_disk_and_nobody_elses_vm() -> None:
    here = Here(
        vm(1), vm(2, disk="<DISK><DISK_ID>0</DISK_ID></DISK>"), vm(3, uid=5), vm(4, name="db"), vm(5, mark="OTHER"),
    )
    carriers(here).take()
    assert here.calls[:2] == [("vm.recover", 1, 3), ("vm.action", "terminate-hard", 2)]
    assert {call[1 if call[0] == "vm.recover" else 2] for call in here.calls} == {1, 2, 100}
    assert [is_carrier(each) for each in map(etree.fromstring, (vm(1), vm(3, uid=5)))] == [True, False]


def test_where_none_can_run_it_is_said_at_once_from_then_on_and_it_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_carrier, "_STARTS_S", 0)
    here = Here(runs=False)
    made = carriers(here)
    for _ in range(3):
        with pytest.raises(OneDRError, match="no small VM could be started to list them in .*VM 100 is PENDING"):
            made.take()
    assert len(here.described) == 1 and here.calls[-1] == ("vm.recover", 100, 3)
