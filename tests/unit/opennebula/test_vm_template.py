"""The template that recreates a VM here: what it was there, without what only the other site understands."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from samples import KEYS, XML_TEXT, disk, recorded, vm_record

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.template import Pairs
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula import vm_template
from onedr.opennebula.vm_template import Network, Recreation

NET1, NET2 = (
    Network(30, "net1", (("10.1.0.10", 10),)),
    Network(31, "net2", (("10.2.0.10", 5), ("10.2.0.20", 1))),
)
NETWORKS = {"net1": NET1, "net2": NET2}
WEB = opennebula_objects.vm_record(recorded("onevm_show_10.xml"), {102})


def recreate(record: Any = WEB, **changes: Any) -> Recreation:
    values: dict[str, Any] = {
        "origin": "fsid:10",
        "site": "north",
        "image_ids": {0: 100, 1: 101},
        "networks": NETWORKS,
        "network_map": {},
        "start": True,
    }
    return vm_template.recreate(record, **{**values, **changes})


def with_template(*attributes: Any, user: Pairs = ()) -> Recreation:
    return recreate(vm_record(template=tuple(attributes), user_template=user), image_ids={})


def one(made: Recreation, key: str) -> Pairs:
    found = list(template.vectors(made.template, key))
    assert len(found) == 1
    return found[0]


def test_a_recorded_vm_is_recreated_as_it_was() -> None:
    made = recreate()
    assert made.template[0] == ("NAME", WEB.name)
    for key, value in (("CPU", "0.5"), ("MEMORY", "512"), ("VCPU", "2"), ("MY_ATTR", "user value <1>")):
        assert template.get(made.template, key) == value
    assert template.get(one(made, "OS"), "UUID") == "12bf23b5-16c9-4778-b1ea-0fa1125c0f41"
    assert template.get(one(made, "FEATURES"), "GUEST_AGENT") == "YES"


def test_it_carries_its_origin_and_whether_it_is_to_be_started() -> None:
    made = recreate().template
    assert template.get(made, "DR_ORIGIN") == "fsid:10"
    assert template.get(made, "DR_ORIGIN_SITE") == "north"
    assert template.get(made, "DR_ORIGIN_VM") == "10"
    assert template.get(made, "DR_START_PENDING") == "YES"
    assert template.get(recreate(start=False).template, "DR_START_PENDING") == ""


def test_disks_come_in_order_by_the_images_of_this_site() -> None:
    disks = list(template.vectors(recreate().template, "DISK"))
    assert [template.get(found, "IMAGE_ID") for found in disks] == ["100", "101"]
    assert [template.get(found, "TARGET") for found in disks] == ["vda", "vdb"]
    assert template.get(disks[0], "ORDER") == "1"
    assert template.get(disks[0], "CACHE") == "none"
    for found in disks:
        assert not {key for key, _ in found} & {
            "SOURCE",
            "IMAGE",
            "DATASTORE",
            "SIZE",
            "CLONE",
            "POOL_NAME",
            "DISK_ID",
        }


def test_volatile_disks_stay_in_their_place_and_are_made_anew() -> None:
    swap: Pairs = (
        ("DISK_ID", "1"),
        ("TYPE", "swap"),
        ("SIZE", "512"),
        ("TARGET", "vdb"),
        ("DISK_TYPE", "RBD"),
    )
    first: Pairs = (("DISK_ID", "0"), ("SOURCE", "one/one-1"), ("TARGET", "vda"))
    last: Pairs = (("DISK_ID", "2"), ("SOURCE", "one/one-2"), ("TARGET", "vdc"))
    body = vm_record(
        template=(("DISK", first), ("DISK", swap), ("DISK", last)),
        disks=(disk(0, "one/one-1"), disk(1, None), disk(2, "one/one-2")),
    )
    disks = list(template.vectors(recreate(body, image_ids={0: 100, 2: 102}).template, "DISK"))
    assert disks == [
        (("IMAGE_ID", "100"), ("TARGET", "vda")), (("TYPE", "swap"), ("SIZE", "512"), ("TARGET", "vdb")),
        (("IMAGE_ID", "102"), ("TARGET", "vdc")),
    ]


def test_a_disk_that_is_not_on_ceph_is_left_out_and_not_mistaken_for_a_volatile_one() -> None:
    cdrom: Pairs = (("DISK_ID", "1"), ("SOURCE", "/var/lib/one/x.iso"), ("TYPE", "CDROM"), ("SIZE", "5"))
    body = vm_record(template=(("DISK", cdrom),), disks=(disk(1, None),))
    assert list(template.vectors(recreate(body, image_ids={}).template, "DISK")) == []


def test_a_vm_is_never_made_without_one_of_its_protected_disks() -> None:
    with pytest.raises(RefusedError, match="disk 1"):
        recreate(image_ids={0: 100})


def test_networks_are_found_by_name_and_keep_the_address_they_hold() -> None:
    nics = list(template.vectors(recreate().template, "NIC"))
    assert [template.get(nic, "NETWORK_ID") for nic in nics] == ["30", "31"]
    assert [template.get(nic, "IP") for nic in nics] == ["10.1.0.13", "10.2.0.20"]
    assert template.get(nics[0], "MAC") == ""  # oned 7.4.0 takes one of IP and MAC
    assert template.get(nics[0], "NAME") == "NIC0"
    for nic in nics:
        assert not {key for key, _ in nic} & {
            "NETWORK",
            "AR_ID",
            "BRIDGE",
            "TARGET",
            "NIC_ID",
            "VN_MAD",
            "CLUSTER_ID",
        }


def test_a_mapped_network_takes_the_place_of_the_one_there() -> None:
    dr = Network(55, "dr-lan", (("10.1.0.0", 256),))
    made = recreate(networks={**NETWORKS, "dr-lan": dr}, network_map={"net1": "dr-lan"})
    nics = list(template.vectors(made.template, "NIC"))
    assert [template.get(nic, "NETWORK_ID") for nic in nics] == ["55", "31"]
    assert template.get(nics[0], "IP") == "10.1.0.13"


@pytest.mark.parametrize(
    ("network_map", "words"),
    [
        ({}, ("'net2'", "DR_NETWORK_MAP")),
        ({"net1": "gone"}, ("'net1'", "'gone'", "DR_NETWORK_MAP")),
    ],
)
def test_a_network_without_a_counterpart_refuses_the_vm(
    network_map: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(RefusedError) as caught:
        recreate(networks={"net1": NET1}, network_map=network_map)
    for word in words:
        assert word in str(caught.value)


def test_an_address_the_network_does_not_hold_is_given_up_with_its_mac_and_a_warning() -> None:
    made = recreate(networks={"net1": NET1, "net2": Network(31, "net2", (("10.9.0.1", 100),))})
    nics = list(template.vectors(made.template, "NIC"))
    assert {key for key, _ in nics[1]} & {"IP", "MAC"} == set()
    assert any("'net2'" in warning and "10.2.0.20" in warning for warning in made.warnings)
    assert not any("10.1.0.13" in warning for warning in made.warnings)


@pytest.mark.parametrize(("address", "held"), [
    ("10.2.0.9", False), ("10.2.0.10", True), ("10.2.0.14", True), ("10.2.0.15", False), ("10.2.0.19", False),
    ("10.2.0.20", True), ("10.2.0.21", False), ("10.1.0.10", False),
])
def test_the_edges_of_an_address_range(address: str, held: bool) -> None:
    assert NET2.holds(address) is held
    assert not Network(1, "empty", ()).holds(address)


def test_aliases_follow_the_nics_and_keep_their_parent() -> None:
    alias: Pairs = (("NETWORK", "net2"), ("PARENT", "NIC0"), ("NAME", "NIC0_ALIAS1"), ("IP", "10.2.0.11"))
    made = with_template(("NIC_ALIAS", alias), ("NIC", (("NETWORK", "net1"), ("NAME", "NIC0"))))
    assert [key for key, _ in made.template if key.startswith("NIC")] == ["NIC", "NIC_ALIAS"]
    found = one(made, "NIC_ALIAS")
    assert (template.get(found, "PARENT"), template.get(found, "IP")) == ("NIC0", "10.2.0.11")


def test_the_context_loses_what_oned_generates_and_nothing_else() -> None:
    context = one(recreate(), "CONTEXT")
    assert not [key for key, _ in context if key.startswith("ETH") or key == "DISK_ID"]
    assert template.get(context, "START_SCRIPT") == "echo 'a & b' > /tmp/x"
    assert template.get(context, "NETWORK") == "YES"
    mixed: Pairs = (("ETHERNET", "1"), ("PCI0_IP", "1"), ("ETH10_IP", "1"), ("MY_ETH0_IP", "2"))
    assert one(with_template(("CONTEXT", mixed)), "CONTEXT") == (("ETHERNET", "1"), ("MY_ETH0_IP", "2"))


def test_the_port_oned_chose_from_the_vms_id_is_dropped_and_one_a_person_chose_is_not() -> None:
    assert {key for key, _ in one(recreate(), "GRAPHICS")} == {"KEYMAP", "LISTEN", "TYPE"}
    assert one(with_template(("GRAPHICS", (("PORT", "7000"), ("TYPE", "VNC")))), "GRAPHICS")[0] == (
        "PORT",
        "7000",
    )


@pytest.mark.parametrize(
    ("key", "value", "moved"),
    [
        ("SCHED_REQUIREMENTS", 'HYPERVISOR="dummy" & NAME="rechost1"', True),
        ("SCHED_REQUIREMENTS", 'ID="0" | ID="1"', True),
        ("SCHED_REQUIREMENTS", 'CLUSTER="prod"', True),
        ("SCHED_REQUIREMENTS", '"CLUSTERS/ID" @> 0', True),
        ("SCHED_DS_REQUIREMENTS", 'ID="103"', True),
        ("SCHED_REQUIREMENTS", 'HYPERVISOR="kvm" & FREE_CPU > 100', False),
        ("SCHED_REQUIREMENTS", 'CPU_ID_LIKE="x"', False),
        ("SCHED_RANK", "NAME", False),
    ],
)
def test_requirements_that_name_a_place_of_the_other_site_are_kept_aside(
    key: str, value: str, moved: bool
) -> None:
    made = with_template(user=((key, value),))
    assert template.get(made.template, key) == ("" if moved else value)
    assert template.get(made.template, f"DR_ORIGIN_{key}") == (value if moved else "")
    assert any(key in warning for warning in made.warnings) is moved


def test_passed_through_devices_are_left_out_and_said_so() -> None:
    made = with_template(("PCI", (("SHORT_ADDRESS", "01:00.0"),)))
    assert list(template.vectors(made.template, "PCI")) == []
    assert any("PCI" in warning for warning in made.warnings)


def test_marks_of_an_earlier_failover_do_not_stick_to_the_vm() -> None:
    marks = ("DR_ORIGIN", "DR_FINISHED", "DR_START_PENDING", "DR_ORIGIN_SITE", "DR_ORIGIN_VM")
    old = tuple((key, "old") for key in marks)
    made = recreate(
        vm_record(user_template=(*old, ("ONEDR_SEALED", "x"), ("LABELS", "a"))), image_ids={}, start=False
    )
    assert [value for _, value in made.template].count("old") == 0
    assert [key for key, _ in made.template].count("DR_ORIGIN") == 1
    assert "ONEDR_SEALED" not in {key for key, _ in made.template}
    assert template.get(made.template, "LABELS") == "a"


@given(KEYS, XML_TEXT, XML_TEXT)
def test_special_characters_survive_into_the_text_oned_gets(key: str, name: str, text: str) -> None:
    value = f"{text}<&>\"'[]=,\\n]]>"
    record = vm_record(name=f"{name}<&>", template=((f"X{key}", value), ("CONTEXT", ((f"X{key}", value),))))
    sent = template.from_element(template.parse_xml(template.to_xml(recreate(record, image_ids={}).template)))
    assert sent[0] == ("NAME", f"{name}<&>")
    assert template.get(sent, f"X{key}") == value
    assert template.get(next(template.vectors(sent, "CONTEXT")), f"X{key}") == value


@pytest.mark.parametrize(("number", "kind"), [
    (0, "OS"), (1, "CDROM"), (2, "DATABLOCK"), (5, "CONTEXT"), (9, "DATABLOCK"), (-1, "DATABLOCK"),
])
def test_image_types(number: int, kind: str) -> None:
    assert vm_template.image_type(number) == kind


def test_an_existing_rbd_image_is_registered_with_everything_oned_requires() -> None:
    made = vm_template.image_description(
        "web-os",
        "OS",
        True,
        "one/one-7",
        1024,
        (("DESCRIPTION", "a <b>"), ("MD5", "x"), ("DR_MESSAGE", "y")),
        "fsid:7",
    )
    for key, value in (
        ("NAME", "web-os"),
        ("TYPE", "OS"),
        ("SOURCE", "one/one-7"),
        ("SIZE", "1024"),
        ("FORMAT", "raw"),
        ("PERSISTENT", "YES"),
        ("DR_ORIGIN", "fsid:7"),
        ("DESCRIPTION", "a <b>"),
        ("MD5", ""),
        ("DR_MESSAGE", ""),
    ):
        assert template.get(made, key) == value
    assert (
        template.get(vm_template.image_description("n", "OS", False, "s", 1, (), "o"), "PERSISTENT") == "NO"
    )


def test_a_users_attribute_never_overrides_what_is_registered() -> None:
    given_keys = ("NAME", "SOURCE", "SIZE", "TYPE", "FORMAT", "PERSISTENT", "PATH", "DR_ORIGIN")
    forged = tuple((key, "forged") for key in given_keys)
    assert "forged" not in repr(vm_template.image_description("n", "OS", False, "one/one-7", 1, forged, "o"))
