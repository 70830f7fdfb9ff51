"""What a VM's record says besides the VM's own XML: whose its networks are."""
from __future__ import annotations

import copy
from typing import Any

from lxml import etree
from samples import recorded

from onedr.model import template
from onedr.model.records import VmRecord
from onedr.replication import write_records

VM = recorded("onevm_show_10.xml")  # its user wrote NETWORK_UNAME=oneadmin on one of its NICs


class Oned:
    """Networks of a front-end; how often it was asked."""

    def __init__(self, *networks: tuple[int, str, str]):
        self.asked, self._networks = 0, networks

    def networks(self) -> list[etree._Element]:
        self.asked += 1
        return [
            etree.fromstring(f"<VNET><ID>{number}</ID><UNAME>{user}</UNAME><GNAME>{group}</GNAME></VNET>")
            for number, user, group in self._networks
        ]


def body(oned: Any, vm: etree._Element = VM) -> VmRecord:
    around = write_records.surroundings(None, oned, {}, oned.networks, vm)  # type: ignore[arg-type]
    found = write_records.vm_body(vm, {102}, "fsid", None, lambda *_: None, around)
    assert found is not None
    return found


def owners(record: VmRecord) -> list[str]:
    return [template.get(nic, "NETWORK_OWNER") for nic in template.vectors(record.template, "NIC")]


def test_a_record_says_of_a_users_network_whose_it_is() -> None:
    assert owners(body(Oned((0, "mallory", "users"), (1, "oneadmin", "users")))) == ["mallory", ""]
    assert owners(body(Oned((0, "root", "oneadmin"), (1, "bob", "users")))) == ["", "bob"]


def test_oned_is_not_asked_for_networks_of_a_vm_without_one() -> None:
    alone = copy.deepcopy(VM)
    found = alone.find("TEMPLATE")
    assert found is not None
    for nic in found.findall("NIC"):
        found.remove(nic)
    oned = Oned()
    assert owners(body(oned, alone)) == [] and not oned.asked
