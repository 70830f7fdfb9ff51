"""What a VM does not bring home: named in the plan, one sentence each."""
from __future__ import annotations

from typing import Any

import pytest
from samples import disk, vm_record

from onedr.failover import not_followed
from onedr.opennebula.attributes import GROUP_NAMES
from onedr.opennebula.nics import Counterparts, Network, Owned, Range
from onedr.opennebula.vms import PeerVm

HERE = Counterparts(
    {"lan": Network(1, "lan", (Range("10.0.0.1", "", 50),))}, security_groups={"web": (Owned(5, "oneadmin"),), "db": (Owned(6, "oneadmin"),)},
)
DISKS = (("DISK", (("DISK_ID", "0"), ("SOURCE", "one/one-1"))), ("DISK", (("DISK_ID", "2"), ("SOURCE", "one/one-2"))))
THERE_TOO = (disk(0, "one/one-1"), disk(1, "one/one-2"))


def nic(group: str, name: str, address: str = "10.0.0.5") -> tuple[str, Any]:
    pairs = (("NETWORK", "lan"), ("IP", address), *((("SECURITY_GROUPS", group), (GROUP_NAMES, name)) if group else ()))
    return "NIC", pairs


def limited(rate: str) -> tuple[str, Any]:
    return "NIC", (*nic("5", "web")[1][:2], ("INBOUND_AVG_BW", rate))


def said(own: tuple[Any, ...], there: tuple[Any, ...]) -> list[str]:
    home = PeerVm(42, "web", "POWEROFF", "ACTIVE", frozenset({"one-1", "one-2"}), template=(*DISKS, *own))
    return not_followed.of_vm(home, vm_record(template=there, disks=THERE_TOO), HERE)


def context(**values: str) -> tuple[str, Any]:
    return "CONTEXT", tuple(values.items())


def os(**values: str) -> tuple[str, Any]:
    return "OS", tuple(values.items())


def pci(address: str, **kind: str) -> tuple[str, Any]:
    return "PCI", (*kind.items(), ("ADDRESS", address))


def volatile(size: str) -> tuple[str, Any]:
    return "DISK", (("DISK_ID", "7"), ("TYPE", "fs"), ("SIZE", size))


GPU = {"VENDOR": "10de", "DEVICE": "1eb8", "CLASS": "0302"}


@pytest.mark.parametrize(("own", "there", "expected"), [
    (nic("5", "web"), nic("105", "web"), ""),
    (nic("5", "web"), nic("106", "db"), ""),  # they follow
    (nic("5", "web"), nic("107", "gone"), "its security group 'gone' (107 at the other site) is missing here"),
    (nic("5", "web"), nic("", ""), "were changed at the other site (none)"),
    (("FEATURES", (("ACPI", "YES"), ("APIC", ""))), ("FEATURES", (("ACPI", "YES"),)), ""),
    (("FEATURES", (("ACPI", "YES"),)), ("FEATURES", (("ACPI", "NO"),)), ""),  # follows
    (("FEATURES", (("GIC", "2"),)), ("FEATURES", (("GIC", "3"),)), "FEATURES/GIC was changed at the other site"),
    (("EMULATOR", "/a"), ("EMULATOR", "/b"), "EMULATOR was changed at the other site"),
    (("HYPERV_OPTIONS", (("DATA", "<a/>"),)), ("HYPERV_OPTIONS", (("DATA", "<b/>"),)), "HYPERV_OPTIONS was changed"),
    (("MEMORY", "64"), ("MEMORY", "128"), ""),
    (os(ARCH="x"), os(ARCH="y"), ""),
    (os(FIRMWARE_SECURE="NO"), os(FIRMWARE_SECURE="YES"), "OS/FIRMWARE_SECURE was changed at the other site"),
    (os(FIRMWARE="f"), os(FIRMWARE="f"), "UEFI variables that were written at the other site stay there"),
    (("TPM", (("MODEL", "tpm-crb"),)), ("TPM", (("MODEL", "tpm-crb"),)), "TPM: what was written to it at the other site"),
    (("CPU", "1"), ("SNAPSHOT", (("SNAPSHOT_ID", "0"),)), "SNAPSHOT is left out: a system snapshot is a file"),
    (limited("100"), limited("100"), ""), (limited("100"), limited("200"), "INBOUND_AVG_BW of its NIC with 10.0.0.5 is another"),
    (os(KERNEL_DS="$FILE[IMAGE_ID=3]", KERNEL="/a"), os(KERNEL_DS='$FILE[IMAGE="k",IMAGE_UNAME="u"]', KERNEL="/b"), ""),
    (os(BOOT="disk0,disk2"), os(BOOT="disk0,disk1"), ""),  # the same disks
    (os(BOOT="disk2"), os(BOOT="disk0"), ""),
    (os(BOOT="disk7,disk2"), os(BOOT="disk0"), "OS/BOOT was changed at the other site"),  # what it would lose is here
    (context(A="1", ETH0_IP="10.0.0.5", VMID="7"), context(A="1", ETH0_IP="10.9.0.5", VMID="42"), ""),
    (context(A="1"), context(A="2"), ""),
    (context(A="1"), ("CPU", "1"), "CONTEXT/A was changed at the other site"),
    (("NOTHING", ""), context(B="1"), "CONTEXT/B was changed at the other site"),
    (("GRAPHICS", (("TYPE", "VNC"), ("PORT", "5907"))), ("GRAPHICS", (("TYPE", "VNC"), ("PORT", "5942"))), ""),
    (("GRAPHICS", (("TYPE", "VNC"),)), ("GRAPHICS", (("TYPE", "SPICE"),)), ""),
    (("BACKUP_CONFIG", (("KEEP_LAST", "3"), ("DISK_IDS", "2"))), ("BACKUP_CONFIG", (("KEEP_LAST", "3"), ("DISK_IDS", "1"))), ""),
    (("BACKUP_CONFIG", (("KEEP_LAST", "3"),)), ("BACKUP_CONFIG", (("KEEP_LAST", "9"),)), ""),
    (("BACKUP_CONFIG", (("INTERACTIVE", "NO"),)), ("BACKUP_CONFIG", (("INTERACTIVE", "YES"),)), "BACKUP_CONFIG/INTERACTIVE was"),
    (pci("01:00.0", **GPU), pci("07:00.0", **GPU), ""),
    (volatile("64"), volatile("64"), ""),
    (("CPU", "1"), volatile("64"), "a volatile disk (fs, 64 MiB) was plugged in at the other site: it is not here"),
    (volatile("64"), ("CPU", "1"), "a volatile disk (fs, 64 MiB) was unplugged at the other site: it stays here"),
    (pci("01:00.0", **GPU), pci("07:00.0", **{**GPU, "DEVICE": "20b0"}), "PCI 10de:20b0:0302 was attached"),
    (("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "db"))), ("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "db"))), ""),
    (
        ("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "db"))), ("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "web"))),
        "VMGROUP was changed",
    ),
    (
        ("NOTHING", ""), ("SCHED_ACTION", (("ACTION", "backup"), ("ARGS", "100"), ("TIME", "4000000000"))),
        "SCHED_ACTION backup is left out: its backup datastore is an object of one site",
    ),
])
def test_each_is_one_sentence(own: Any, there: Any, expected: str) -> None:
    found = said((own,), (there,))
    assert [expected in text for text in found] == ([True] if expected else []), found


@pytest.mark.parametrize("key", ["VMGROUP", "PCI"])
def test_what_was_left_out_on_the_way_there_is_no_change(key: str) -> None:
    assert said(((key, (("VMGROUP_NAME", "tier"), ("ROLE", "db"), ("VENDOR", "10de"))),), ()) == []


def test_nics_that_cannot_be_told_apart_are_named_before() -> None:
    far = ("NIC", (("NETWORK", "far"), ("IP", "10.9.0.1")))
    assert "stay as they are here, network far" in " ".join(said((nic("5", "web"),), (nic("105", "web"), far)))


@pytest.mark.parametrize(("state", "user"), [("SUSPENDED", ()), ("POWEROFF", (("DR_LOCKED_STATE", "STOPPED"),))])
def test_a_memory_that_stays_there_is_named(state: str, user: Any) -> None:
    home = PeerVm(42, "web", "POWEROFF", "ACTIVE", frozenset({"one-1", "one-2"}), template=DISKS)
    there = vm_record(template=(), disks=THERE_TOO, state=state, user_template=user)
    assert ["its memory stays at the other site" in text for text in not_followed.of_vm(home, there, HERE)] == [True]
