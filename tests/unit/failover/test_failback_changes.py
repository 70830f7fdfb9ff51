"""What of a VM changes at home, decided from what it is here and what its record says: disks, NICs, user
attributes.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, disk, envelope, image_record, vm_record
from worlds import copy_of

from onedr.failover import failback_plan, nic_changes
from onedr.failover.nic_changes import Nics
from onedr.model.records import ImageFacts
from onedr.opennebula.nics import Counterparts, Network
from onedr.opennebula.vms import PeerVm
from onedr.replication import inventory
from onedr.replication.inventory import VmItem

HOME = PeerVm(7, "web", "POWEROFF", "ACTIVE", frozenset({"one-1"}))


def item(*names: str) -> tuple[VmItem, dict[str, ImageFacts]]:
    body = vm_record(vm_id=12, disks=tuple(disk(n, f"one/{name}") for n, name in enumerate(names)))
    images = [copy_of(name, body, known=False) for name in names]
    return inventory.vms(images, HERE)[0], {image.name: image for image in images}


@pytest.mark.parametrize(
    ("there", "here", "plug", "unplug"),
    [
        (["one-1"], {"one-1"}, set(), set()),
        (["one-1", "one-2"], {"one-1"}, {"one-2"}, set()),
        (["one-1"], {"one-1", "one-3"}, set(), {"one-3"}),
        (["one-2"], {"one-1"}, {"one-2"}, {"one-1"}),
    ],
)
def test_disks_are_compared_by_their_rbd_images(
    there: list[str], here: set[str], plug: set[str], unplug: set[str]
) -> None:
    found, images = item(*there)
    changes = failback_plan.disks(found, replace(HOME, images=frozenset(here)), images, HERE)
    assert (set(changes.plug), set(changes.unplug)) == (plug, unplug)


def test_a_cdrom_whose_base_the_peer_took_over_is_ours() -> None:
    found, images = item("one-1", "one-1500000009")
    made = image_record(name="iso", origin=f"{HERE}:9", stands_for="one-9")
    images["one-1500000009"] = replace(images["one-1500000009"], image=envelope(made))
    changes = failback_plan.disks(found, replace(HOME, images=frozenset({"one-1", "one-9"})), images, HERE)
    assert not changes.plug and not changes.unplug


@pytest.mark.parametrize(
    ("changes", "exists", "reason"),
    [
        ({"images": frozenset({"one-1", "one-3"}), "clones": frozenset({"one-3"})}, True, "would delete it"),
        ({"images": frozenset({"one-1", "one-3"}), "clones": frozenset({"one-3"})}, False, ""),
        ({"images": frozenset({"one-1", "one-3"})}, True, ""),
        ({"images": frozenset({"one-1", "one-3"}), "state": "HOLD"}, True, "is HOLD: power it off"),
        ({"state": "HOLD"}, True, ""),
        ({"state": "ACTIVE", "locked_state": ""}, True, "is ACTIVE; power it off"),
    ],
)
def test_a_clone_that_lives_on_there_is_not_unplugged_here(
    changes: dict[str, Any], exists: bool, reason: str
) -> None:
    found, images = item("one-1")
    if exists:
        images["one-3"] = copy_of("one-3", None)
    why = failback_plan.obstacle(found, replace(HOME, **changes), images, HERE)
    assert (reason in why) if reason else why == ""


def test_a_vm_that_is_home_has_nothing_in_its_way() -> None:
    found, images = item("one-1")
    images["one-1"] = replace(images["one-1"], primary=True)
    assert failback_plan.obstacle(found, replace(HOME, locked_state="", state="ACTIVE"), images, HERE) == ""


def test_a_clone_given_to_another_vm_there_stays_where_it_is() -> None:
    found, _ = item("one-3")
    other = replace(HOME, vm_id=8, name="old", images=frozenset({"one-3"}), clones=frozenset({"one-3"}))
    assert (
        "clone of VM old (8)" in failback_plan.clones_of_others([found], {}, {f"{HERE}:8": other})[found.origin]
    )
    assert failback_plan.clones_of_others([found], {found.origin: other}, {f"{HERE}:8": other}) == {}


def nic(network: str, ip: str = "", number: str = "0") -> tuple[str, Any]:
    return "NIC", tuple(pair for pair in (("NETWORK", network), ("IP", ip), ("NIC_ID", number)) if pair[1])


LAN, DMZ = nic("lan", "10.0.0.5"), nic("dmz", "10.1.0.5", "1")
NETWORKS = {"lan": Network(1, "lan"), "dmz": Network(2, "dmz")}


@pytest.mark.parametrize(("own", "there", "expected"), [
    ((LAN,), (LAN,), Nics()),
    ((LAN,), (nic("lan", "10.0.0.99"),), Nics()),
    # the same address: the same NIC, whatever its network is called there
    ((LAN,), (nic("lan-b", "10.0.0.5"),), Nics()),
    ((LAN,), (nic("mapped", "10.7.0.1"),), Nics()),
    ((LAN,), (LAN, DMZ), Nics(plug=(DMZ[1],))),
    ((LAN, DMZ), (LAN,), Nics(unplug=(1,))),
    ((LAN,), (DMZ,), Nics(plug=(DMZ[1],), unplug=(0,))),
    ((LAN, nic("lan", "10.0.0.6", "1")), (nic("lan", "10.0.0.6"),), Nics(unplug=(0,))),
])
def test_nics_are_matched_by_address_then_by_network(own: Any, there: Any, expected: Nics) -> None:
    assert nic_changes.changes(own, there, Counterparts(NETWORKS, {"mapped": "lan"})) == expected


@pytest.mark.parametrize(
    ("own", "there", "why"),
    [
        ((LAN,), (nic("unknown"),), "network unknown"),
    ],
)
def test_nics_that_cannot_be_matched_stay_as_they_are(own: Any, there: Any, why: str) -> None:
    found = nic_changes.changes(own, there, Counterparts(NETWORKS))
    assert why in found.unclear and not found.plug and not found.unplug


@pytest.mark.parametrize(
    ("own", "there", "complete", "wanted"),
    [
        ((("A", "1"),), (("A", "1"),), True, None),
        ((("A", "1"), ("B", "2")), (("A", "3"),), True, (("A", "3"),)),
        ((("A", "1"), ("B", "2")), (("A", "3"),), False, (("B", "2"), ("A", "3"))),
        (
            (("DR_LOCKED_STATE", "ACTIVE"), ("A", "1")),
            (("A", "1"), ("DR_ORIGIN", "x:1"), ("DR_FINISHED", "YES")),
            True,
            None,
        ),
        ((("DR_STATE", "STANDBY"), ("A", "1")), (("A", "1"), ("DR_STATE", "PROTECTED")), True, None),
        ((("SCHED_REQUIREMENTS", "NAME=h"),), (("DR_ORIGIN_SCHED_REQUIREMENTS", "NAME=h"),), True, None),
        (
            (("T", (("X", "1"),)), ("T", (("X", "2"),))),
            (("T", (("X", "2"),)), ("T", (("X", "1"),))),
            True,
            None,
        ),
    ],
)
def test_user_attributes_are_those_of_the_other_site_and_our_own(
    own: Any, there: Any, complete: bool, wanted: Any
) -> None:
    assert failback_plan.user_attributes(own, there, complete) == wanted


KEYS = st.sampled_from(["A", "B", "DR_LOCKED_STATE", "DR_ORIGIN", "ERROR", "SCHED_REQUIREMENTS"])
PAIRS = st.lists(st.tuples(KEYS, st.text(max_size=2)), max_size=4).map(tuple)


@given(PAIRS, PAIRS, st.booleans())
def test_following_user_attributes_twice_changes_nothing_more(own: Any, there: Any, complete: bool) -> None:
    wanted = failback_plan.user_attributes(own, there, complete)
    again = failback_plan.user_attributes(wanted if wanted is not None else own, there, complete)
    assert again is None
    kept = wanted if wanted is not None else own
    assert [pair for pair in kept if pair[0] == "DR_LOCKED_STATE"] == [pair for pair in own if pair[0] == "DR_LOCKED_STATE"]


def test_only_disks_that_grew_are_grown() -> None:
    def sizes(*given_: tuple[int, str]) -> Any:
        return tuple(("DISK", (("DISK_ID", str(number)), ("SIZE", size))) for number, size in given_)

    own, there = sizes((0, "32"), (1, "64"), (2, "8")), sizes((0, "48"), (1, "32"), (3, ""))
    assert failback_plan.grown(own, there, [(0, 0), (1, 1), (2, 3)]) == {0: 48}
