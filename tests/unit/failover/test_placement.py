"""Would a VM start here: networks, addresses and room, found before anything is changed."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import THERE, envelope, vm_record

from onedr.failover import placement
from onedr.failover.host_choice import Host
from onedr.failover.placement import Placement
from onedr.model.records import DiskRef
from onedr.opennebula.nics import Counterparts, Network, Range
from onedr.opennebula.quotas import ClusterLimit, Key, Quotas, Usage
from onedr.replication.inventory import VmItem

LAN = Network(1, "lan", (Range("192.0.2.10", "", 10), Range("", "02:00:00:00:00:10", 4)))
DMZ = Network(2, "dmz", (Range("198.51.100.1", "", 20),))


def vm(number: int, *nics: tuple[tuple[str, str], ...], **capacity: Any) -> VmItem:
    template = tuple((key, str(value)) for key, value in capacity.items())
    record = vm_record(
        vm_id=number, name=f"vm{number}", template=(*template, *(("NIC", nic) for nic in nics))
    )
    return VmItem(f"{THERE}:{number}", envelope(record), record, (), (), ())


def nic(network: str, ip: str = "", mac: str = "") -> tuple[tuple[str, str], ...]:
    return (("NETWORK", network), *((("IP", ip),) if ip else ()), *((("MAC", mac),) if mac else ()))


def ground(**changes: Any) -> Placement:
    here = Counterparts({"lan": LAN, "dmz": DMZ}, changes.pop("network_map", {}))
    return Placement(here, **changes)


def test_a_network_without_counterpart_is_an_obstacle_that_says_what_to_create() -> None:
    found = placement.place([vm(1, nic("wan"))], ground()).blockers
    assert "'wan' has no counterpart here" in found[f"{THERE}:1"] and "DR_NETWORK_MAP" in found[f"{THERE}:1"]
    assert not placement.place([vm(1, nic("wan"))], ground(network_map={"wan": "dmz"})).blockers


def test_an_address_that_is_taken_here_is_an_obstacle_that_names_its_holder() -> None:
    there = {(1, "192.0.2.12"): "VM 7", (1, "02:00:00:00:00:11"): "VM 8"}
    found = placement.place(
        [
            vm(1, nic("lan", "192.0.2.12")),
            vm(2, nic("lan", "192.0.2.13")),
            vm(3, nic("lan", mac="02:00:00:00:00:11")),
        ],
        ground(taken=there),
    ).blockers
    assert found.keys() == {f"{THERE}:1", f"{THERE}:3"}
    assert "192.0.2.12" in found[f"{THERE}:1"] and "VM 7" in found[f"{THERE}:1"]


def test_a_list_of_snapshots_that_is_written_anew_is_announced() -> None:
    disk = DiskRef(0, "one/one-1", 1, "data", False, True)
    tree = (("DISK_ID", "0"), ("SNAPSHOT", (("ID", "1"), ("NAME", "before"))))
    plain = vm(1)
    record = replace(plain.record, disks=(disk,), snapshots=(("SNAPSHOTS", tree),))
    found = placement.place([plain, replace(plain, origin="x", record=record)], ground()).differences
    assert any("disk 0: the list of its 1 snapshot(s) is rewritten" in said for said in found["x"])
    assert plain.origin not in found


def test_an_address_the_network_here_does_not_hold_is_no_obstacle() -> None:
    taken = {(1, "10.0.0.1"): "VM 7"}
    assert not placement.place([vm(1, nic("lan", "10.0.0.1")), vm(2, nic("lan"))], ground(taken=taken)).blockers


def test_of_two_vms_that_would_get_one_address_the_later_is_left_out() -> None:
    items = [vm(1, nic("lan", "192.0.2.12")), vm(2, nic("old", "192.0.2.12"))]
    found = placement.place(items, ground(network_map={"old": "lan"})).blockers
    assert found.keys() == {f"{THERE}:2"} and "VM vm1" in found[f"{THERE}:2"]


def test_networks_wanted_are_named_as_here() -> None:
    assert placement.networks_wanted([vm(1, nic("a"), nic("b"))], Counterparts(network_map={"a": "x"})) == {"x", "b"}


def test_vms_without_room_are_warned_of_in_starting_order() -> None:
    hosts = (Host("h1", 200, 1024), Host("h2", 100, 4096))
    items = [
        vm(1, CPU=2, MEMORY=512),
        vm(2, CPU=0.5, MEMORY=1024),
        vm(3, CPU=1, MEMORY=128),
        vm(4, CPU=0.1, MEMORY=2048),
    ]
    found = placement.without_capacity(items, ground(hosts=hosts))
    assert found.keys() == {f"{THERE}:3"} and "1 CPU, 128 MiB" in found[f"{THERE}:3"]


def test_nothing_is_said_of_room_that_is_not_known() -> None:
    assert placement.without_capacity([vm(1, CPU=99, MEMORY=1)], ground(hosts=None)) == {}
    assert placement.without_capacity([vm(1, CPU=99, MEMORY=1)], ground(hosts=())).keys() == {f"{THERE}:1"}


@pytest.mark.parametrize("text", ["1e400", "inf", "nan", "9" * 400, "-1e999", "x"])
def test_a_capacity_that_is_no_number_ends_no_plan(text: str) -> None:
    assert placement.without_capacity([vm(1, CPU=text, MEMORY=text)], ground(hosts=(Host("h", 1, 1),))) == {}


def host(name: str, cluster: int = 0, pci: tuple[tuple[str, str, str], ...] = (), **values: str) -> Host:
    seen = {key: (value,) for key, value in {"NAME": name, **values}.items()}
    return Host(name, 800, 16000, cluster, seen, pci)


def said(found: VmItem, **changes: Any) -> str:
    placed = placement.place([found], ground(**changes))
    assert not placed.blockers, placed.blockers
    return "; ".join(placed.differences.get(found.origin, ()))


def with_pairs(found: VmItem, *pairs: Any, user: tuple[tuple[str, Any], ...] = ()) -> VmItem:
    record = replace(found.record, template=(*found.record.template, *pairs), user_template=user)
    return replace(found, record=record)


GPU = ("10de", "0863", "0300")


@pytest.mark.parametrize(("wanted", "hosts", "why"), [
    ("ARCH = arm64", (host("h1", ARCH="x86_64"),), "meets its SCHED_REQUIREMENTS (ARCH = arm64)"),
    ("ARCH = arm64", (host("h1", ARCH="x86_64"), host("h2", ARCH="arm64")), ""),
    ("GPU = yes", (host("h1"),), ""), ("ARCH = arm64", (), ""),
])
def test_requirements_that_no_host_meets_are_said(wanted: str, hosts: tuple[Host, ...], why: str) -> None:
    found = said(with_pairs(vm(1), user=(("SCHED_REQUIREMENTS", wanted),)), hosts=hosts)
    assert (why in found and "it will stay PENDING" in found) if why else not found


def test_pci_devices_that_no_host_has_free_are_said() -> None:
    device = ("PCI", (("VENDOR", "10de"), ("DEVICE", "863"), ("CLASS", "0300")))
    two, one = with_pairs(vm(1), device, device), with_pairs(vm(2), device)
    why = "no host here has its PCI devices free (10de:863:0300"
    assert why in said(two, hosts=(host("h1", pci=(GPU,)), host("h2", pci=(("8086", "0863", "0300"), GPU))))
    assert why not in said(two, hosts=(host("h1", pci=(GPU, GPU)),))
    assert why not in said(one, hosts=(host("h1", pci=(GPU,)),)) and why in said(one, hosts=(host("h1"),))


@pytest.mark.parametrize(("state", "lost"), [("SUSPENDED", True), ("STOPPED", True), ("POWEROFF", False), ("ACTIVE", False)])
def test_memory_that_stays_behind_is_said(state: str, lost: bool) -> None:
    found = vm(1)
    assert ("its memory stays" in said(replace(found, record=replace(found.record, state=state)))) == lost


def test_a_cluster_with_datastore_and_network_but_no_host_is_said() -> None:
    lan = replace(LAN, clusters=frozenset({1, 2}))
    here = Placement(Counterparts({"lan": lan}), hosts=(host("h1", 3), host("h2", 1)), clusters=frozenset({2, 3}))
    (found,) = placement.place([vm(1, nic("lan"))], here).differences.values()
    assert "no host here is in a cluster that has its datastore and its networks" in found[0]
    fine = replace(here, hosts=(host("h1", 3), host("h2", 2)))
    assert not placement.place([vm(1, nic("lan"))], fine).differences


def test_a_quota_of_every_cluster_that_is_left_is_said() -> None:
    owner = vm_record().owner
    limit = ClusterLimit(frozenset({0}), {Key("VM", "", "CPU"): Usage(2, 1.5)})
    quotas = Quotas(clusters={("user", owner): (limit,)})
    assert "does not admit it in any cluster" in said(vm(1, CPU=1), hosts=(host("h1"),), quotas=quotas)
    assert not said(vm(1, CPU=0.5), hosts=(host("h1"),), quotas=quotas)
    assert not said(vm(1, CPU=1), hosts=(host("h1"), host("h2", 1)), quotas=quotas)


@pytest.mark.parametrize(("key", "item"), [
    (Key("VM", "", "RUNNING_VCPU"), vm(1, VCPU=4)), (Key("VM", "", "BUDGET"), with_pairs(vm(1), user=(("BUDGET", "3"),))),
    (Key("VM", "", "RUNNING_PCI_DEV"), with_pairs(vm(1), ("PCI", (("VENDOR", "10de"),)))),
    (Key("IMAGE", "7", "RVMS"), replace(vm(1), record=vm_record(disks=(DiskRef(0, "one/one-1", 1, "base", False, True),)))),
])
def test_quotas_of_any_metric_leave_a_vm_out(key: Key, item: VmItem) -> None:
    full = Quotas({("user", item.record.owner): {key: Usage(3, 2.5)}})
    found = placement.place([item], ground(quotas=full, registered={"one-1": 7})).blockers
    assert key.metric in found[item.origin] and "does not admit it" in found[item.origin]


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=8),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_those_not_warned_of_fit_together(needs: list[tuple[int, int]], cpu: int, mib: int) -> None:
    items = [vm(number, CPU=need / 100, MEMORY=memory) for number, (need, memory) in enumerate(needs)]
    warned = placement.without_capacity(items, ground(hosts=(Host("h", cpu, mib),)))
    fitting = [needs[number] for number, item in enumerate(items) if item.origin not in warned]
    assert sum(need for need, _ in fitting) <= cpu and sum(memory for _, memory in fitting) <= mib
