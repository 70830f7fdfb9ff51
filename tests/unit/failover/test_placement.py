"""Would a VM start here: networks, addresses and room, found before anything is changed."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from samples import THERE, envelope, vm_record

from onedr.failover import placement
from onedr.failover.placement import Host, Placement
from onedr.model.records import DiskRef
from onedr.opennebula.nics import Counterparts, Network, Range
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
