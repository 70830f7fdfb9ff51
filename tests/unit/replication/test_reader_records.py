"""VMs without a disk of their own: where their records are, which count, and when they go."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree
from samples import HERE, THERE, MetadataImage, disk, envelope, image, image_record, vm_record

from onedr.model.records import NOT_CLONED, NOT_COPIED, ImageFacts, Proof, VmRecord
from onedr.model.template import parse_xml
from onedr.model.types import Mode, Settings
from onedr.opennebula import objects
from onedr.replication import image_facts, inventory, reader_records, records, signature, write_records
from onedr.replication.image_view import ImageView
from onedr.replication.ledger import Entry, Ledger
from onedr.replication.records import Reader

KEY = bytes(range(64))
CLONE = disk(0, "one/one-7-42-0", clone=True)
WAITING = vm_record(state="HOLD", disks=(CLONE,))
NOTHING = Ledger({}, {}, {})


def found(record: VmRecord, *existing: str, copied: dict[int, str] | None = None) -> VmRecord:
    return reader_records.as_found(record, lambda name: name in existing, copied or {})


def test_a_clone_that_is_not_made_yet_is_recorded_on_its_base() -> None:
    record = found(WAITING)
    assert record.disks[0].to_clone and not record.disks[0].protected
    assert write_records.places(record, "one", HERE) == {"one-7": f"onedr.reader.{HERE}.42"}


@pytest.mark.parametrize("record", [replace(WAITING, state="ACTIVE"), replace(WAITING, state="UNDEPLOYED"), WAITING])
def test_a_clone_that_is_there_carries_its_record_itself(record: VmRecord) -> None:
    """Also of a VM that waits for a host again."""
    assert write_records.places(found(record, "one/one-7-42-0"), "one", HERE) == {"one-7-42-0": records.VM_KEY}


def test_a_missing_clone_of_a_vm_that_ran_is_not_taken_for_one_to_be_made() -> None:
    record = found(replace(WAITING, state="POWEROFF"))
    assert record.disks == WAITING.disks


def test_one_own_disk_is_enough_to_carry_the_record() -> None:
    record = found(replace(WAITING, disks=(CLONE, disk(1, "one/one-8"))))
    assert write_records.places(record, "one", HERE) == {"one-8": records.VM_KEY}


def test_a_vm_with_a_cdrom_only_is_recorded_there() -> None:
    record = vm_record(disks=(disk(0, "one/one-9", shared=True), disk(1, None)))
    assert write_records.places(record, "one", HERE) == {"one-9": f"onedr.reader.{HERE}.42"}


def test_while_its_image_is_copied_a_vm_is_recorded_on_what_it_is_copied_from() -> None:
    copying = replace(disk(0, None, image_id=12), reason=NOT_COPIED)
    record = found(vm_record(state="CLONING", disks=(copying,)), copied={12: "one/one-3"})
    assert write_records.places(record, "one", HERE) == {"one-3": f"onedr.reader.{HERE}.42"}
    assert write_records.places(found(vm_record(state="CLONING", disks=(copying,))), "one", HERE) == {}


def test_oneds_disk_without_a_source_is_being_copied() -> None:
    """`CLONING` of oned 7.4: DISK has IMAGE_ID and no SOURCE (Image::disk_attribute)."""
    text = ("<VM><ID>5</ID><NAME>n</NAME><UNAME>u</UNAME><GNAME>g</GNAME><STATE>10</STATE><PERMISSIONS/><TEMPLATE>"
            "<DISK><DISK_ID>0</DISK_ID><IMAGE_ID>12</IMAGE_ID><TYPE>RBD</TYPE><SOURCE/></DISK></TEMPLATE></VM>")
    assert objects.vm_record(parse_xml(text), {100}).disks[0].reason == NOT_COPIED


def view(name: str, values: dict[str, str], **changes: Any) -> ImageView:
    fields: dict[str, Any] = {
        "rbd_id": "1", "size": 1, "mode": Mode.JOURNAL, "primary": False, "global_id": f"g-{name}", "parent": None,
    }
    return ImageView(name=name, metadata=values, **{**fields, **changes})


def written(name: str, record: VmRecord = WAITING, fsid: str = THERE) -> dict[str, str]:
    """An image's metadata with its own record and that of a reader, as the product writes them."""
    target = MetadataImage(f"g-{name}", name)
    signer = signature.signer(KEY, target)
    records.write_record(target, records.IMAGE_KEY, envelope(image_record(), fsid=fsid), signer)
    key = Reader(fsid, record.vm_id).key
    records.write_record(target, key, envelope(found(record), fsid=fsid), signer)
    return target.values


def facts(name: str, values: dict[str, str]) -> ImageFacts:
    by = image_facts.Reader(KEY, "", 2000.0)
    return image_facts._facts(view(name, values), Settings(protect=True), by, {})


def test_the_record_of_a_reader_is_signed_for_its_image_and_read_back() -> None:
    base = facts("one-7", written("one-7"))
    (reader,) = base.readers
    assert reader.proof is Proof.AUTHENTIC and isinstance(reader.body, VmRecord) and base.problems == ()
    elsewhere = facts("one-7", written("one-8"))
    assert [each.proof for each in elsewhere.readers] == [Proof.FORGED]


@pytest.mark.parametrize("name", ["one-7-42-0", "one-500000007"])
def test_what_a_clone_inherits_of_its_bases_readers_says_nothing(name: str) -> None:
    assert facts(name, written("one-7")).readers == ()


def test_a_damaged_one_is_said_and_takes_nobody_else_out() -> None:
    values = {**written("one-7"), Reader(THERE, 42).key: "{"}
    base = facts("one-7", values)
    assert base.readers == () and base.problems == () and "damaged" in base.bad_readers[0]


def base_with(record: VmRecord = WAITING, **changes: Any) -> ImageFacts:
    return image("one-7", image=envelope(image_record(persistent=False)), readers=(envelope(found(record)),), **changes)


def test_such_a_vm_is_in_the_inventory_with_its_base_as_its_disk() -> None:
    (item,) = inventory.vms([base_with()], HERE)
    (one,) = item.record.disks
    assert item.blockers == () and [each.name for each in item.images] == ["one-7"]
    assert one.protected and one.rbd == "one/one-7" and one.to_clone and item.recovery_point == 900.0


def test_one_that_was_deployed_after_all_is_never_made_anew_from_its_base() -> None:
    """Its clone's copy is here, and its record did not arrive: starting it from the base would lose its data."""
    (item,) = inventory.vms([base_with(), image("one-7-42-0", complete=False, recovery_point=None)], HERE)
    assert item.blockers == ("the initial copy of disk 0 (one-7-42-0) never completed",)


@pytest.mark.parametrize(("images", "words"), [
    ([image("one-8", vm=envelope(found(replace(WAITING, disks=(CLONE, disk(1, "one/one-8"))), "one/one-8")))],
     "disk 0 would be cloned from one-7, which has no copy here"),
    ([base_with(complete=False)], "the initial copy of disk 0 (one-7) never completed"),
    ([image("one-3", image=envelope(image_record()), readers=(envelope(found(
        vm_record(state="CLONING", disks=(replace(disk(0, None, image_id=12), reason=NOT_COPIED),)), copied={12: "one/one-3"},
    )),))], NOT_COPIED),
])
def test_one_that_cannot_come_is_named_with_the_reason(images: list[ImageFacts], words: str) -> None:
    (item,) = inventory.vms(images, HERE)
    assert any(words in blocker for blocker in item.blockers)


def test_earlier_releases_leave_it_out_with_a_reason() -> None:
    """They know no new field, and take a disk without a copy for a blocker."""
    one = found(WAITING).disks[0]
    assert not one.protected and one.rbd and one.reason == NOT_CLONED


def vm(vm_id: int, state: int, source: str = "one/one-7", clone: str = "YES") -> etree._Element:
    return parse_xml(
        f"<VM><ID>{vm_id}</ID><NAME>n</NAME><UNAME>u</UNAME><GNAME>g</GNAME><STATE>{state}</STATE><PERMISSIONS/><TEMPLATE>"
        f"<DISK><DISK_ID>0</DISK_ID><IMAGE_ID>1</IMAGE_ID><TYPE>RBD</TYPE><SOURCE>{source}</SOURCE><CLONE>{clone}</CLONE>"
        "</DISK></TEMPLATE></VM>"
    )


PENDING, HOLD, ACTIVE, CLONING = 1, 2, 3, 10


@pytest.mark.parametrize(("vms", "stays"), [
    ([vm(42, HOLD)], True), ([vm(42, PENDING)], True), ([vm(42, CLONING, "")], True),
    ([vm(42, ACTIVE)], False), ([], False), ([vm(42, HOLD, "one/one-8")], False), ([vm(43, HOLD)], False),
    ([vm(42, ACTIVE, clone="NO")], True),  # a CDROM
])
def test_a_record_goes_when_its_vm_reads_through_that_image_no_more(vms: list[etree._Element], stays: bool) -> None:
    images = {"one-7": view("one-7", written("one-7", fsid=HERE), primary=True)}
    expected = {} if stays else {"one-7": [Reader(HERE, 42)]}
    assert reader_records.outdated(images, HERE, vms, NOTHING) == expected


def test_the_peers_record_goes_when_its_vm_was_made_here() -> None:
    images = {"one-7": view("one-7", written("one-7"), primary=True)}
    assert reader_records.outdated(images, HERE, [], NOTHING) == {}
    made = Ledger({9: Entry(f"{THERE}:42", ("one-9",), finished=True)}, {}, {})
    assert reader_records.outdated(images, HERE, [], made) == {"one-7": [Reader(THERE, 42)]}
    assert reader_records.outdated({"one-7": view("one-7", written("one-7"))}, HERE, [], made) == {}, "a copy is not ours"


def test_what_a_clone_inherited_is_removed() -> None:
    images = {"one-7-42-0": view("one-7-42-0", written("one-7", fsid=HERE), primary=True)}
    assert reader_records.outdated(images, HERE, [vm(42, HOLD)], NOTHING) == {"one-7-42-0": [Reader(HERE, 42)]}
