"""What a turn of reconcile leaves alone: only what looking at it one by one would leave as it is."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from lxml import etree
from samples import HERE, THERE, MetadataImage, recorded

from onedr.model.records import ImageRecord, VmRecord
from onedr.model.types import Mode
from onedr.protection.settled import PoolView
from onedr.replication import records, signature, write_records
from onedr.replication.image_view import ImageView
from onedr.replication.ledger import Entry, Ledger
from onedr.replication.mirror_image import IDENTITY_KEY, PROBLEM_KEY
from onedr.replication.write_records import Surroundings, WritingSite

SITE = WritingSite("south", HERE, "[v2:10.0.0.1:3300/0]")
KEY = bytes(range(64))
NOW = 1_700_000_000.0
NOTHING = Ledger({}, {}, {})
IMAGE, VM = recorded("oneimage_show_48.xml"), recorded("onevm_show_10.xml")
NAME = str(IMAGE.findtext("SOURCE")).partition("/")[2]
AROUND = Surroundings()
DATASTORES = {int(str(IMAGE.findtext("DATASTORE_ID"))), *(
    int(str(each.text)) for each in VM.iterfind("TEMPLATE/DISK/DATASTORE_ID")
)}
POOL = str(IMAGE.findtext("SOURCE")).partition("/")[0]


def written(name: str, *bodies: ImageRecord | VmRecord, site: WritingSite = SITE, key: bytes | None = KEY) -> dict[str, str]:
    """Metadata as the product itself writes it."""
    image = MetadataImage(f"g-{name}", name)
    for body in bodies:
        kind = records.VM_KEY if isinstance(body, VmRecord) else records.IMAGE_KEY
        records.write_record(image, kind, site.envelope(body, NOW - 60), signature.signer(key, image))
    return image.values


def view(name: str, metadata: dict[str, str], **changes: Any) -> ImageView:
    values: dict[str, Any] = {
        "rbd_id": "1", "size": 1, "mode": Mode.JOURNAL, "primary": True, "global_id": f"g-{name}", "parent": None,
    }
    return ImageView(name=name, metadata=metadata, **{**values, **changes})


def pool(*views: ImageView, **changes: Any) -> PoolView:
    values: dict[str, Any] = {"pool": POOL, "site": SITE, "ledger": NOTHING, "key": KEY, "now": NOW}
    return PoolView(images={each.name: each for each in views}, **{**values, **changes})


def own_image() -> ImageRecord:
    body = write_records.image_body(IMAGE, NOTHING.image)
    assert body is not None
    return body


def own_vm() -> VmRecord:
    body = write_records.vm_body(VM, DATASTORES, HERE, KEY, NOTHING.vm, AROUND)
    assert body is not None
    return body


def renamed() -> etree._Element:
    other = recorded("oneimage_show_48.xml")
    found = other.find("NAME")
    assert found is not None
    found.text = "another"
    return other


def test_an_image_whose_record_is_there_and_which_is_mirrored_needs_nothing() -> None:
    assert pool(view(NAME, written(NAME, own_image()))).image_settled(NAME, IMAGE, ready=True)


@pytest.mark.parametrize("changes", [
    {"primary": False}, {"mode": None}, {"parent": "one-1"},  # a clone whose metadata may be its parent's
    {"global_id": "another"}, {"metadata": {}}, {"metadata": {records.IMAGE_KEY: "{"}},
    {"metadata": {**written(NAME, own_image()), PROBLEM_KEY: "waits"}},
    {"metadata": written(NAME, own_image(), key=None)},
    {"metadata": written(NAME, own_image(), site=replace(SITE, fsid=THERE))},
    {"metadata": written(NAME, own_image(), site=replace(SITE, mon_host="moved"))},
    {"metadata": {records.IMAGE_KEY: '{"schema": 2}'}},
], ids=str)
def test_an_image_with_anything_else_is_looked_at(changes: dict[str, Any]) -> None:
    found = replace(view(NAME, written(NAME, own_image())), **changes)
    assert not pool(found).image_settled(NAME, IMAGE, ready=False)


def test_an_image_that_changed_or_that_is_not_known_is_looked_at() -> None:
    seen = pool(view(NAME, written(NAME, own_image())))
    assert not seen.image_settled(NAME, renamed(), ready=False)
    assert not pool().image_settled(NAME, IMAGE, ready=False)
    came = Ledger({}, {48: Entry(f"{THERE}:3", (NAME,))}, {})
    assert not replace(seen, ledger=came).image_settled(NAME, IMAGE, ready=False)


def test_a_mirrored_clone_that_is_marked_as_such_needs_nothing() -> None:
    values = {**written(NAME, own_image()), IDENTITY_KEY: f"g-{NAME}"}
    assert pool(view(NAME, values, parent="one-1")).image_settled(NAME, IMAGE, ready=False)


def test_an_image_that_no_vm_uses_loses_its_vms_record_unless_the_peer_wrote_it() -> None:
    ours = pool(view(NAME, written(NAME, own_image(), own_vm())))
    assert ours.image_settled(NAME, IMAGE, ready=False) and not ours.image_settled(NAME, IMAGE, ready=True)
    theirs = written(NAME, own_vm(), site=replace(SITE, fsid=THERE))
    values = {**written(NAME, own_image()), records.VM_KEY: theirs[records.VM_KEY]}
    assert pool(view(NAME, values)).image_settled(NAME, IMAGE, ready=True)
    damaged = {**written(NAME, own_image()), records.VM_KEY: "{"}
    assert not pool(view(NAME, damaged)).image_settled(NAME, IMAGE, ready=True)


def test_a_vm_needs_nothing_when_every_disk_of_it_says_so_or_is_the_peers() -> None:
    names = write_records.disks_to_record(own_vm(), POOL)
    assert names, "the recorded VM has a protected disk"
    disks = [view(name, written(name, own_vm())) for name in names]
    assert pool(*disks).vm_settled(VM, DATASTORES, AROUND)
    assert pool(*[replace(disk, primary=False, metadata={}) for disk in disks]).vm_settled(VM, DATASTORES, AROUND)
    for at, disk in enumerate(disks):
        rest = disks[:at] + disks[at + 1:]
        assert not pool(*rest).vm_settled(VM, DATASTORES, AROUND), f"{disk.name} is not known"
        assert not pool(*rest, replace(disk, metadata={})).vm_settled(VM, DATASTORES, AROUND)
        other = written(disk.name, replace(own_vm(), name="other"))
        assert not pool(*rest, replace(disk, metadata=other)).vm_settled(VM, DATASTORES, AROUND)


def test_a_vm_without_a_record_of_its_own_needs_nothing() -> None:
    half = recorded("onevm_show_10.xml")
    user = half.find("USER_TEMPLATE")
    assert user is not None
    etree.SubElement(user, "DR_ORIGIN").text = "other:1"
    assert write_records.vm_body(half, DATASTORES, HERE, KEY, NOTHING.vm, AROUND) is None
    assert pool().vm_settled(half, DATASTORES, AROUND)


def other_vm(path: str, text: str) -> etree._Element:
    found = recorded("onevm_show_10.xml")
    element = found.find(path)
    assert element is not None
    element.text = text
    return found


def test_a_vm_is_known_again_until_anything_changes_that_its_record_depends_on() -> None:
    names = write_records.disks_to_record(own_vm(), POOL)
    disks = [view(name, written(name, own_vm())) for name in names]
    seen = pool(*disks)
    before = seen.vm_state(VM, DATASTORES)
    assert pool(*disks, now=NOW + 60).vm_state(other_vm("LAST_POLL", "12345"), DATASTORES) == before
    shows = recorded("onevm_show_10.xml")
    for key in ("DR_STATE", "DR_RECOVERY_POINT"):
        etree.SubElement(shows.find("USER_TEMPLATE"), key).text = "x"  # type: ignore[arg-type]
    assert seen.vm_state(shows, DATASTORES) == before, "what the keeper shows is no news to it"
    marked = [replace(disk, metadata={**disk.metadata, records.MARK_KEY: "{}"}) for disk in disks]
    assert pool(*marked).vm_state(VM, DATASTORES) == before, "time marks are no news"
    first, *rest = disks
    others = [
        seen.vm_state(other_vm("NAME", "other"), DATASTORES), seen.vm_state(other_vm("STATE", "8"), DATASTORES),
        seen.vm_state(VM, {*DATASTORES, 999}), replace(seen, key=None).vm_state(VM, DATASTORES),
        replace(seen, site=replace(SITE, mon_host="moved")).vm_state(VM, DATASTORES),
        replace(seen, ledger=Ledger({10: Entry("x:1", tuple(names))}, {}, {})).vm_state(VM, DATASTORES),
        pool(*rest).vm_state(VM, DATASTORES), pool(replace(first, metadata={}), *rest).vm_state(VM, DATASTORES),
        pool(replace(first, primary=False), *rest).vm_state(VM, DATASTORES),
    ]
    assert before not in others and len(set(others)) == len(others)
