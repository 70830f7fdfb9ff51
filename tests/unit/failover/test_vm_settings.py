"""Settings of a VM that comes home: what is called, what is read back, and what is said when oned refuses."""
from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from samples import HERE, envelope, recorded, vm_record

from onedr.ceph.connection import Pool
from onedr.failover import failback_vms, vm_settings
from onedr.failover.target_site import Site
from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.model.records import VmRecord
from onedr.model.template import Pairs
from onedr.model.types import CephAccess, Settings
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import APPEND, REPLACE
from onedr.opennebula.nics import Counterparts
from onedr.replication.inventory import VmItem


class Oned:
    """A front-end with one powered off VM; sections are set as oned sets them, in short."""

    def __init__(self, refuses: str = "", deaf: bool = False) -> None:
        self.element = copy.deepcopy(recorded("onevm_show_10.xml"))
        state = self.element.find("STATE")
        assert state is not None
        state.text = "8"
        self.refuses, self.deaf = refuses, deaf
        self.calls: list[tuple[Any, ...]] = []

    def vm(self, _: int) -> etree._Element:
        return self.element

    def update_vm(self, _: int, pairs: Pairs) -> None:
        self.calls.append(("vm.update", pairs))

    def call(self, method: str, _: int, text: str, mode: Any) -> None:
        given = template.from_element(template.parse_xml(text))
        self.calls.append((method, given, mode))
        if self.refuses:
            raise FrontEndError(self.refuses)
        values = dict(pair for name, *rest in self.calls if name == "vm.update" for pair in rest[0])
        own = self.element.find("TEMPLATE")
        assert own is not None
        for key, value in () if self.deaf else given:
            old = own.find(key)
            if isinstance(value, str):
                assert old is not None
                old.text = value
                continue
            section = etree.SubElement(own, key) if old is None else old
            for child in list(section) if mode == REPLACE else []:
                section.remove(child)
            for part, said in value:
                leaf = section.find(part)
                leaf = etree.SubElement(section, part) if leaf is None else leaf
                leaf.text = values.get(said[1:], said)


def site(oned: Oned) -> Site:
    pool = Pool(None, None, CephAccess("one"))
    return Site(oned, 100, pool, HERE, Settings(), {}, {}, Counterparts())  # type: ignore[arg-type]


def there(**sections: dict[str, str]) -> tuple[VmItem, VmRecord]:
    """The record of the VM as it is, with other parts of some sections; an empty part is taken off."""
    own = opennebula_objects.vm_record(Oned().element, ())
    changed: list[tuple[str, Any]] = []
    for key, value in own.template:
        if key in sections and not isinstance(value, str):
            value = tuple({**dict(value), **sections[key]}.items())
        changed.append((key, value))
    record = vm_record(template=tuple(changed), disks=own.disks)
    return VmItem(f"{HERE}:10", envelope(record), record, (), (), ()), record


def test_what_is_the_same_is_not_touched() -> None:
    oned = Oned()
    assert vm_settings.return_settings(site(oned), *there(), 10) == [] and not oned.calls


def test_what_was_set_there_is_set_here_and_a_dollar_is_not_resolved() -> None:
    oned = Oned()
    found = site(oned)
    done = vm_settings.return_settings(found, *there(CONTEXT={"LOGIN": "$6$a$b"}, FEATURES={"ACPI": "NO"}), 10)
    assert sorted(done) == ["CONTEXT/LOGIN", "FEATURES/ACPI"] and not found.warnings
    assert oned.calls[0] == ("vm.update", (("ONEDR_VALUE_0", "$6$a$b"),))
    assert oned.calls[1][2] == APPEND and ("CONTEXT", (("LOGIN", "$ONEDR_VALUE_0"),)) in oned.calls[1][1]


def test_what_was_taken_off_there_is_taken_off_here() -> None:
    oned = Oned()
    done = vm_settings.return_settings(site(oned), *there(FEATURES={"GUEST_AGENT": ""}), 10)
    assert done == ["FEATURES/GUEST_AGENT"] and oned.calls[-1][2] == REPLACE


@pytest.mark.parametrize(("oned", "words"), [
    (Oned("[one.vm.updateconf] RAW is not valid"), "it stays as it is here: [one.vm.updateconf] RAW is not valid"),
    (Oned(deaf=True), "it stays as it is here"),
])
def test_what_oned_does_not_take_is_said_and_keeps_nothing_from_coming_home(oned: Oned, words: str) -> None:
    found = site(oned)
    assert vm_settings.return_settings(found, *there(FEATURES={"ACPI": "NO"}), 10) == []
    assert found.warnings[f"{HERE}:10"] == [f"FEATURES/ACPI was changed at the other site: {words}"]


def test_capacity_is_read_back() -> None:
    for oned, said in ((Oned(), 0), (Oned(deaf=True), 1)):
        found = site(oned)
        record: Any = SimpleNamespace(template=(("MEMORY", "4242"),))
        failback_vms._capacity(found, record, 10, "x")
        assert oned.calls == [("vm.resize", (("MEMORY", "4242"),), False)]
        assert len(found.warnings.get("x", [])) == said
