"""What a VM does not bring home: named in the plan, one sentence each."""
from __future__ import annotations

from typing import Any

import pytest
from samples import vm_record

from onedr.failover import not_followed
from onedr.opennebula.nics import GROUP_NAMES, Counterparts, Network, Owned, Range

HERE = Counterparts(
    {"lan": Network(1, "lan", (Range("10.0.0.1", "", 50),))}, security_groups={"web": (Owned(5, "oneadmin"),), "db": (Owned(6, "oneadmin"),)},
)


def nic(group: str, name: str, address: str = "10.0.0.5", kind: str = "NIC") -> tuple[str, Any]:
    pairs = (("NETWORK", "lan"), ("IP", address), *((("SECURITY_GROUPS", group), (GROUP_NAMES, name)) if group else ()))
    return kind, pairs


def said(own: tuple[Any, ...], there: tuple[Any, ...]) -> list[str]:
    return not_followed.of_vm(own, vm_record(template=there), HERE)


@pytest.mark.parametrize(("own", "there", "expected"), [
    (nic("5", "web"), nic("105", "web"), ""),
    (nic("5", "web"), nic("106", "db"), "the security groups of its NIC with 10.0.0.5 were changed"),
    (nic("5,6", "web,db"), nic("106,105", "db,web"), ""),
    (nic("5", "web"), nic("107", "gone"), "its security group 'gone' (107 at the other site) is missing here"),
    (nic("5", "web"), nic("", ""), "were changed at the other site (none)"),
    (nic("5", "web"), nic("106", "db", "10.0.0.9"), ""),
    (nic("", "", kind="NIC_ALIAS"), nic("", "", kind="NIC_ALIAS"), ""),
    (nic("", "", kind="NIC_ALIAS"), nic("", "", "10.0.0.6", "NIC_ALIAS"), "its NIC aliases were changed"),
    (("FEATURES", (("ACPI", "YES"), ("APIC", ""))), ("FEATURES", (("ACPI", "YES"),)), ""),
    (("FEATURES", (("ACPI", "YES"),)), ("FEATURES", (("ACPI", "NO"),)), "FEATURES was changed at the other site"),
    (("MEMORY", "64"), ("MEMORY", "128"), ""), (("OS", (("ARCH", "x"),)), ("OS", (("ARCH", "y"),)), ""),
])
def test_each_is_one_sentence(own: Any, there: Any, expected: str) -> None:
    found = said((own,), (there,))
    assert [expected in text for text in found] == ([True] if expected else []), found
