"""OpenNebula's own XML as records, on what a real oned sent (tests/unit/wire)."""
from __future__ import annotations

import copy
from typing import Any

import pytest
from lxml import etree
from samples import recorded

from onedr.model import template
from onedr.model.errors import InputError
from onedr.model.records import DiskRef
from onedr.opennebula import objects as opennebula_objects

DATASTORE = 102


def vm() -> etree._Element:
    return recorded("onevm_show_10.xml")


def disk_of(element: etree._Element, disk_id: int) -> etree._Element:
    return next(
        disk for disk in element.iterfind("TEMPLATE/DISK") if disk.findtext("DISK_ID") == str(disk_id)
    )


def put(element: etree._Element, path: str, text: str) -> etree._Element:
    parent_path, _, tag = path.rpartition("/")
    parent = element if not parent_path else element.find(parent_path)
    assert parent is not None
    found = parent.find(tag)
    if found is None:
        found = etree.SubElement(parent, tag)
    found.text = text
    return element


def remove(element: etree._Element, tag: str) -> None:
    child = element.find(tag)
    assert child is not None
    element.remove(child)


def test_an_image_becomes_its_record() -> None:
    record = opennebula_objects.image_record(recorded("oneimage_show_48.xml"))
    assert (record.image_id, record.name, record.type, record.persistent) == (48, "web-os", 0, False)
    assert (record.size_mib, record.owner, record.group, record.datastore) == (
        1024,
        "oneadmin",
        "oneadmin",
        "imgrec",
    )
    assert record.permissions == "110000000"
    assert record.template == (("DESCRIPTION", "golden"), ("DEV_PREFIX", "vd"), ("DR_ID", "g1"))
    assert template.get(record.snapshots, "NEXT_SNAPSHOT") == "0"


def test_a_vm_becomes_its_record() -> None:
    record = opennebula_objects.vm_record(vm(), {DATASTORE})
    assert (record.vm_id, record.state, record.permissions) == (10, "ACTIVE", "110000000")
    assert (record.owner, record.group) == ("oneadmin", "oneadmin")
    assert template.get(record.template, "MEMORY") == "512"
    context = next(template.vectors(record.template, "CONTEXT"))
    assert template.get(context, "START_SCRIPT") == "echo 'a & b' > /tmp/x"
    assert template.get(record.user_template, "MY_ATTR") == "user value <1>"


def test_the_trees_of_disk_snapshots_are_part_of_a_vms_record() -> None:
    tree = "<SNAPSHOTS><DISK_ID>1</DISK_ID><SNAPSHOT><ID>0</ID><NAME>a &amp; b</NAME></SNAPSHOT></SNAPSHOTS>"
    element = vm()
    element.append(etree.fromstring(tree))
    record = opennebula_objects.vm_record(element, {DATASTORE})
    assert record.snapshots == (
        ("SNAPSHOTS", (("DISK_ID", "1"), ("SNAPSHOT", (("ID", "0"), ("NAME", "a & b"))))),
    )


def test_each_disk_is_named_by_the_rbd_image_that_holds_its_data() -> None:
    record = opennebula_objects.vm_record(vm(), {DATASTORE})
    where: Any = {"protected": True, "datastore": "imgrec", "datastore_id": DATASTORE}
    assert record.disks == (
        DiskRef(0, "rbd-pool/one-347-10-0", 48, "web-os", clone=True, **where),
        DiskRef(1, "one/one-901", 49, "web-data", clone=False, **where),
    )


def test_what_belongs_to_one_site_only_is_left_behind() -> None:
    record = opennebula_objects.vm_record(vm(), {DATASTORE})
    keys = {key for key, _ in record.template}
    assert not keys & {
        "AUTOMATIC_REQUIREMENTS",
        "VMID",
        "TEMPLATE_ID",
        "SUBMIT_ON_HOLD",
        "SECURITY_GROUP_RULE",
    }
    for found in template.vectors(record.template, "DISK"):
        assert not {key for key, _ in found} & {
            "CEPH_SECRET",
            "CEPH_USER",
            "TM_MAD",
            "DATASTORE_ID",
            "IMAGE_STATE",
        }
        assert template.get(found, "SOURCE") and template.get(found, "TARGET")


def test_states_that_come_and_go_do_not_change_the_record() -> None:
    changed = vm()
    for disk in changed.iterfind("TEMPLATE/DISK"):
        put(disk, "IMAGE_STATE", "1")
        put(disk, "DISK_SNAPSHOT_TOTAL_SIZE", "77")
    put(changed, "TEMPLATE/AUTOMATIC_REQUIREMENTS", "(CLUSTER_ID = 9)")
    put(changed, "USER_TEMPLATE/ERROR", "monitor lost")
    put(changed, "USER_TEMPLATE/DR_MESSAGE", "all is well")
    put(changed, "USER_TEMPLATE/DR_STATE", "PROTECTED")
    put(changed, "USER_TEMPLATE/DR_RECOVERY_POINT", "2026-11-30T14:00:00Z")
    put(changed, "LAST_POLL", "123456")
    assert opennebula_objects.vm_record(changed, {DATASTORE}) == opennebula_objects.vm_record(
        vm(), {DATASTORE}
    )


@pytest.mark.parametrize(
    ("disk_id", "change", "protected_datastores", "rbd", "reason"),
    [
        (1, {}, set(), "one/one-901", "its datastore imgrec is not protected"),
        (1, {"DR_PROTECT": "no"}, {DATASTORE}, "one/one-901", "its image has DR_PROTECT=NO"),
        (
            1,
            {"SOURCE": "", "IMAGE_ID": ""},
            {DATASTORE},
            None,
            "it is a volatile disk, which always starts empty",
        ),
        (1, {"DISK_TYPE": "FILE", "TYPE": "FILE"}, set(), None, "it is not an RBD disk"),
        (1, {"DISK_TYPE": "BLOCK", "TYPE": "BLOCK"}, {DATASTORE}, None, "it is not an RBD disk"),
        (
            1,
            {"DISK_TYPE": "FILE", "TYPE": "FILE"},
            {DATASTORE},
            None,
            "it is a file on its host while the VM exists",
        ),
        (
            1,
            {"DISK_TYPE": "FILE", "TYPE": "RBD"},
            {DATASTORE},
            None,
            "it is a file on its host while the VM exists",
        ),
        (0, {"CLONE": "no"}, {DATASTORE}, "rbd-pool/one-347", ""),
        (0, {"DISK_TYPE": "", "TYPE": "RBD_CDROM"}, {DATASTORE}, "rbd-pool/one-347-10-0", ""),
    ],
)
def test_a_disk_without_a_copy_says_why(
    disk_id: int, change: dict[str, str], protected_datastores: set[int], rbd: str | None, reason: str
) -> None:
    element = vm()
    for key, value in change.items():
        put(disk_of(element, disk_id), key, value)
    found = opennebula_objects.vm_record(element, protected_datastores).disks[disk_id]
    assert (found.rbd, found.reason, found.protected) == (rbd, reason, not reason)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("ID", "x"),
        ("ID", ""),
        ("STATE", "-1"),
        ("STATE", "99"),
        ("STATE", "ACTIVE"),
        ("TEMPLATE/DISK/DISK_ID", ""),
        ("TEMPLATE/DISK/DISK_ID", "zero"),
        ("TEMPLATE/DISK/DATASTORE_ID", "d"),
        ("TEMPLATE/DISK/IMAGE_ID", "i"),
    ],
)
def test_a_vm_with_garbage_for_a_number_is_refused(path: str, text: str) -> None:
    with pytest.raises(InputError, match=path.rpartition("/")[2]):
        opennebula_objects.vm_record(put(vm(), path, text), {DATASTORE})


def test_an_object_without_permissions_is_refused() -> None:
    element = vm()
    remove(element, "PERMISSIONS")
    with pytest.raises(InputError, match="PERMISSIONS"):
        opennebula_objects.vm_record(element, {DATASTORE})


@pytest.mark.parametrize(("number", "image", "machine"), [
    (0, "INIT", "INIT"), (1, "READY", "PENDING"), (2, "USED", "HOLD"), (3, "DISABLED", "ACTIVE"),
    (5, "ERROR", "SUSPENDED"),
    (8, "USED_PERS", "POWEROFF"), (9, "LOCKED_USED", "UNDEPLOYED"), (10, "LOCKED_USED_PERS", "CLONING"),
])
def test_states_have_opennebulas_names(number: int, image: str, machine: str) -> None:
    assert (
        opennebula_objects.image_state(put(recorded("oneimage_show_48.xml"), "STATE", str(number))) == image
    )
    assert opennebula_objects.vm_state(put(vm(), "STATE", str(number))) == machine


@pytest.mark.parametrize("number", ["-1", "12", "x"])
def test_an_unknown_state_is_never_taken_for_a_known_one(number: str) -> None:
    with pytest.raises(InputError, match="STATE"):
        opennebula_objects.image_state(put(recorded("oneimage_show_48.xml"), "STATE", number))
    with pytest.raises(InputError, match="STATE"):
        opennebula_objects.vm_state(put(vm(), "STATE", number))


def test_making_a_record_leaves_the_xml_as_it_was() -> None:
    element = vm()
    before = etree.tostring(copy.deepcopy(element))
    opennebula_objects.vm_record(element, {DATASTORE})
    assert etree.tostring(element) == before


def test_an_image_that_several_vms_may_use_as_it_is_carries_no_vms_record() -> None:
    element = vm()
    disk = element.findall("TEMPLATE/DISK")[1]
    remove(disk, "PERSISTENT")  # a CDROM: neither cloned nor persistent
    assert [found.shared for found in opennebula_objects.vm_record(element, {DATASTORE}).disks] == [
        False,
        True,
    ]


def test_a_disk_that_several_vms_may_write_to_carries_no_vms_record_either() -> None:
    element = vm()
    put(element.findall("TEMPLATE/DISK")[1], "SHAREABLE", "YES")
    assert [found.shared for found in opennebula_objects.vm_record(element, {DATASTORE}).disks] == [False, True]


@pytest.mark.parametrize(("state", "entries", "since"), [
    ("3", [{"RSTIME": "100", "RETIME": "0"}], 100.0),
    ("3", [{"RSTIME": "100", "RETIME": "150", "ETIME": "150"}, {"RSTIME": "200"}], 200.0),
    ("8", [{"RSTIME": "100", "RETIME": "150", "ETIME": "151"}], 151.0),
    ("9", [{"RSTIME": "100", "RETIME": "150", "EETIME": "170", "ETIME": "0"}], 170.0),
    ("8", [{"RSTIME": "100", "RETIME": "0"}], None),  # not said
    ("2", [], None),
])
def test_when_a_vm_came_into_its_state(state: str, entries: list[dict[str, str]], since: float | None) -> None:
    found = etree.Element("VM")
    put(found, "STATE", state)
    history = etree.SubElement(found, "HISTORY_RECORDS")
    for entry in entries:
        one = etree.SubElement(history, "HISTORY")
        for key in ("STIME", "ETIME", "RSTIME", "RETIME", "EETIME"):
            put(one, key, entry.get(key, "0"))
    assert opennebula_objects.state_since(found) == since


@pytest.mark.parametrize(("state", "disabled"), [("1", False), ("3", True), ("8", False)])
def test_the_record_of_an_image_says_whether_it_is_disabled(state: str, disabled: bool) -> None:
    element = put(recorded("oneimage_show_48.xml"), "STATE", state)
    put(element, "TEMPLATE/ONEDR_DISABLED", "YES")  # what a user calls so says nothing
    found = opennebula_objects.image_record(element)
    assert [value for key, value in found.template if key == "ONEDR_DISABLED"] == ["YES"] * disabled


@pytest.mark.parametrize("path,text", [
    (None, ""), ("DISK_TYPE", "FILE"), ("TYPE", "fs"), ("SOURCE", ""), ("CLONE", "YES"), ("CLONE", "NO"),
    ("DR_PROTECT", "NO"), ("SHAREABLE", "YES"), ("PERSISTENT", "YES"), ("DATASTORE_ID", "7"),
])
@pytest.mark.parametrize("disk_id", [0, 1])
@pytest.mark.parametrize("protected", [(), (DATASTORE,)])
def test_the_disks_alone_are_those_of_the_record(
    path: str | None, text: str, disk_id: int, protected: tuple[int, ...]
) -> None:
    element = vm()
    if path is not None:
        put(disk_of(element, disk_id), path, text)
    etree.SubElement(element.find("TEMPLATE"), "DISK").text = "not a vector"  # type: ignore[arg-type]
    record = opennebula_objects.vm_record(element, protected)
    assert record.disks and opennebula_objects.vm_disks(element, protected) == record.disks


@pytest.mark.parametrize("path", ["DISK_ID", "IMAGE_ID", "DATASTORE_ID"])
def test_disks_with_garbage_for_a_number_are_refused_alone_too(path: str) -> None:
    element = vm()
    put(disk_of(element, 0), path, "x")
    with pytest.raises(InputError):
        opennebula_objects.vm_disks(element, (DATASTORE,))
