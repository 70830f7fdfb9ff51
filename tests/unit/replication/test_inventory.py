"""The peer's VMs, found in the records on the images: the newest record counts, and every obstacle is named.
"""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from samples import HERE, THERE, disk, envelope, image, image_record, vm_record

from onedr.model.records import ImageFacts, Proof
from onedr.model.types import Mode
from onedr.replication import inventory

WEB = vm_record(disks=(disk(0, "one/one-1"), disk(1, "one/one-2")))


def with_vm(name: str, body: Any = WEB, **changes: Any) -> ImageFacts:
    record = envelope(body, **{key: changes.pop(key) for key in ("fsid", "generation") if key in changes})
    return image(name, vm=record, **changes)


def only(*images: ImageFacts) -> inventory.VmItem:
    found = inventory.vms(images, HERE)
    assert len(found) == 1
    return found[0]


def test_a_vm_with_complete_copies_of_all_its_disks_has_nothing_in_its_way() -> None:
    item = only(with_vm("one-2", recovery_point=700.0), with_vm("one-1"))
    assert (item.origin, item.record.name) == (f"{THERE}:42", "web")
    assert [found.name for found in item.images] == ["one-1", "one-2"]  # in the order of the disks
    assert item.blockers == item.warnings == ()
    assert item.recovery_point == 700.0  # of its oldest disk


@pytest.mark.parametrize("points", [(None, 5.0), (5.0, None), (None, None)])
def test_one_disk_of_an_unknown_moment_makes_the_vms_moment_unknown(points: tuple[float | None, ...]) -> None:
    assert (
        only(*(with_vm(f"one-{n + 1}", recovery_point=at) for n, at in enumerate(points))).recovery_point
        is None
    )


def test_a_vm_without_disks_has_no_recovery_point() -> None:
    assert only(with_vm("one-9", vm_record())).recovery_point is None


def test_the_highest_generation_wins_wherever_it_lies() -> None:
    old, new = vm_record(name="old", disks=WEB.disks), vm_record(name="new", disks=WEB.disks)
    for first, second in ((old, new), (new, old)):
        generations = {"old": 5, "new": 6}
        item = only(
            *(
                with_vm(f"one-{n + 1}", body, generation=generations[body.name])
                for n, body in enumerate((first, second))
            )
        )
        assert item.record.name == "new"


def test_vms_of_this_site_and_of_the_peer_are_told_apart_by_the_cluster() -> None:
    images = [with_vm("one-1", fsid=HERE), with_vm("one-2", vm_record(vm_id=7))]
    assert [item.record.vm_id for item in inventory.vms(images, HERE)] == [7]
    assert [item.record.vm_id for item in inventory.vms(images, HERE, own=True)] == [42]


def test_the_same_vm_id_at_two_peers_is_two_vms() -> None:
    images = [with_vm("one-1"), with_vm("one-2", fsid="fsid-third")]
    assert {item.origin for item in inventory.vms(images, HERE)} == {f"{THERE}:42", "fsid-third:42"}


def test_vms_come_by_name_then_origin() -> None:
    known = ((3, "b"), (2, "a"), (1, "b"))
    images = [with_vm(f"one-{vm_id}", vm_record(vm_id=vm_id, name=name)) for vm_id, name in known]
    assert [item.origin for item in inventory.vms(images, HERE)] == [
        f"{THERE}:{vm_id}" for vm_id in (2, 1, 3)
    ]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (None, "disk 1 (one-2) has no copy here: its mirroring had not started"),
        ({"complete": False}, "the initial copy of disk 1 (one-2) never completed"),
        ({"problems": ("record onedr.vm is damaged",)}, "disk 1 (one-2): record onedr.vm is damaged"),
        (
            {"mode": None, "primary": False, "complete": False, "problems": ("cannot be read: x",)},
            "cannot be read: x",
        ),
    ],
)
def test_what_stands_in_a_vms_way_is_named_with_the_disk(
    second: dict[str, Any] | None, expected: str
) -> None:
    images = [with_vm("one-1")] + ([] if second is None else [image("one-2", **second)])
    assert expected in "; ".join(only(*images).blockers)


def test_an_image_that_was_promoted_already_needs_no_completeness() -> None:
    assert only(with_vm("one-1", primary=True, complete=False), image("one-2")).blockers == ()


def test_an_unprotected_rbd_disk_is_an_obstacle_and_a_volatile_one_a_warning() -> None:
    body = vm_record(disks=(
        disk(0, "one/one-1"), disk(1, "one/one-5", protected=False, reason="its image has DR_PROTECT=NO"),
        disk(2, None, image_name=""),
    ))
    item = only(with_vm("one-1", body))
    assert item.blockers == ("disk 1 (image-of-1) has no copy: its image has DR_PROTECT=NO",)
    assert item.warnings == ("disk 2 (volatile) has no copy: it is a volatile disk",)


CEPH = inventory.Owner(HERE, 100, "ceph", "ceph-there")
OTHER = image("one-99", image=envelope(image_record(datastore="other")))


def of_ceph(*images: ImageFacts, known: tuple[str, ...] = ()) -> list[str]:
    return [found.name for found in inventory.of_datastore(images, CEPH, known)]


def ours(**changes: Any) -> dict[str, Any]:
    """A record that this site wrote."""
    return {"image": envelope(image_record(**changes), fsid=HERE)}


@pytest.mark.parametrize(("found", "kept"), [
    (image("one-1", image=envelope(image_record(datastore="ceph-there"))), True),
    (image("one-1", image=envelope(image_record(datastore="ceph-there", datastore_id=7))), True),
    (image("one-1", image=envelope(image_record(datastore="ceph", datastore_id=100))), False),
    (image("one-1", **ours(datastore="ceph", datastore_id=100)), True),
    (image("one-1", **ours(datastore="renamed since", datastore_id=100)), True),
    (image("one-1", **ours(datastore="ceph", datastore_id=101)), False),
    (image("one-1", **ours(datastore="ceph")), True),  # written by an earlier release
    (image("one-1", **ours(datastore="other")), False),
    (with_vm("one-1", vm_record(disks=(disk(0, "one/one-1", datastore="ceph-there"),))), True),
    (with_vm("one-1", vm_record(disks=(disk(0, "one/one-1", datastore="other"),))), False),
    (with_vm("one-1", vm_record(disks=(
        disk(0, "one/one-1", datastore="other"), disk(1, None, datastore="ceph-there")))), False),
])
def test_an_image_belongs_to_the_datastore_its_records_name(found: ImageFacts, kept: bool) -> None:
    assert of_ceph(found) == (["one-1"] if kept else [])


@pytest.mark.parametrize("found", [
    image("one-1"), with_vm("one-1", vm_record(disks=(disk(0, "one/one-1"),))),
])
def test_what_no_record_names_is_ours_only_where_there_is_no_other_datastore(found: ImageFacts) -> None:
    assert of_ceph(found) == ["one-1"]
    assert of_ceph(found, OTHER) == []
    assert of_ceph(found, OTHER, known=("one-1",)) == ["one-1"]


FORGED = {"proof": Proof.FORGED, "doubt": "its signature does not fit"}


@pytest.mark.parametrize(("true", "said", "kept"), [
    ("ceph-there", "other", True), ("other", "ceph-there", False), (None, "ceph-there", True), (None, "other", False),
])
def test_a_record_in_doubt_decides_only_where_there_is_no_other(true: str | None, said: str, kept: bool) -> None:
    own = envelope(image_record(datastore=true)) if true else None
    forged = envelope(vm_record(disks=(disk(0, "one/one-1", datastore=said),)), **FORGED)
    assert of_ceph(image("one-1", image=own, vm=forged), OTHER) == (["one-1"] if kept else [])
    assert of_ceph(image("one-1", image=None, vm=forged), OTHER, known=("one-1",)) == ["one-1"]


def test_a_forged_record_brings_no_image_of_another_datastore_with_a_vm() -> None:
    body = vm_record(disks=(disk(0, "one/one-1", datastore="ceph-there"), disk(1, "one/one-2")))
    ours_too = with_vm("one-1", body)
    theirs = image("one-2", image=envelope(image_record(datastore="other")), vm=envelope(body, **FORGED))
    assert of_ceph(ours_too, theirs) == ["one-1"]
    assert of_ceph(ours_too, replace(theirs, vm=envelope(body))) == ["one-1", "one-2"]


def test_all_disks_of_a_vm_and_their_parents_come_with_the_one_that_lies_there() -> None:
    disks = (disk(0, "one/one-1", datastore="ceph-there"), disk(1, "one/one-2", datastore="other"))
    theirs = envelope(image_record(datastore="other"))
    images = [
        with_vm(f"one-{n}", vm_record(disks=disks), image=theirs, parent=f"one-{n + 7}") for n in (1, 2)
    ]
    parents = [image(f"one-{n}", image=theirs, parent="one-10" if n == 8 else None) for n in (8, 9, 10)]
    assert of_ceph(*images, *parents, image("one-11", image=theirs)) == [
        "one-1",
        "one-2",
        "one-8",
        "one-9",
        "one-10",
    ]


def test_a_vm_that_says_no_is_no_vm_to_recover() -> None:
    body = vm_record(disks=WEB.disks, user_template=(("DR_PROTECT", "no"),))
    assert inventory.vms([with_vm("one-1", body)], HERE) == []


def test_the_mode_of_a_copy_does_not_matter_here() -> None:
    assert only(with_vm("one-1", mode=Mode.SNAPSHOT), image("one-2")).blockers == ()


def doubted(name: str, body: Any = WEB, why: str = "it is not signed", **changes: Any) -> ImageFacts:
    record = envelope(body, **{"proof": Proof.UNSIGNED, "doubt": why, **changes})
    return image(name, vm=record)


def test_a_record_in_doubt_holds_its_vm_and_says_why_and_what_to_type() -> None:
    item = only(doubted("one-1"), image("one-2"))
    assert item.blockers == (
        "its record is not used: it is not signed. If it is to be believed: --accept-unsigned",
    )
    assert item.warnings == ()


def test_the_operators_word_turns_the_doubt_into_a_warning() -> None:
    [item] = inventory.vms([doubted("one-1"), image("one-2")], HERE, accept_unsigned=True)
    assert item.blockers == () and "it is not signed" in item.warnings[0]


def test_the_record_of_a_disks_image_is_doubted_likewise() -> None:
    own = envelope(image_record(), proof=Proof.FORGED, doubt="its signature does not fit")
    found = [with_vm("one-1"), image("one-2", image=own)]
    assert "disk 1 (one-2): the record of its image is not used" in only(*found).blockers[0]
    [item] = inventory.vms(found, HERE, accept_unsigned=True)
    assert item.blockers == () and "signature" in item.warnings[0]


@pytest.mark.parametrize("accept", [False, True])
def test_no_record_in_doubt_outranks_an_authentic_one_however_new_it_says_it_is(accept: bool) -> None:
    evil = vm_record(name="evil", disks=WEB.disks)
    found = [with_vm("one-1", generation=5), doubted("one-2", evil, generation=10**18)]
    [item] = inventory.vms(found, HERE, accept_unsigned=accept)
    assert item.record.name == "web" and item.blockers == ()
    assert item.warnings == ("the record on one-2 is passed over: it is not signed",)


def test_disks_that_disagree_are_said_and_those_that_say_the_same_are_not() -> None:
    old = vm_record(name="old", disks=WEB.disks)
    [item] = inventory.vms([with_vm("one-1", generation=6), with_vm("one-2", old, generation=5)], HERE)
    assert item.record.name == "web"
    assert item.warnings == ("the record on one-2 is passed over: it is older and says otherwise",)
    assert only(with_vm("one-1", generation=6), with_vm("one-2", generation=5)).warnings == ()


def test_a_record_in_doubt_cannot_say_that_its_vm_is_none_to_recover() -> None:
    body = vm_record(disks=WEB.disks, user_template=(("DR_PROTECT", "NO"),))
    assert only(doubted("one-1", body), image("one-2")).blockers
    found = [with_vm("one-1", generation=5), doubted("one-2", body, generation=9)]
    assert only(*found).record == WEB


def test_the_newest_record_decides_whether_a_vm_is_one_to_recover() -> None:
    body = vm_record(disks=WEB.disks, user_template=(("DR_PROTECT", "NO"),))
    assert inventory.vms([with_vm("one-1", generation=5), with_vm("one-2", body, generation=6)], HERE) == []
    assert only(with_vm("one-1", generation=6), with_vm("one-2", body, generation=5)).record == WEB
