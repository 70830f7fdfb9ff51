"""The template that recreates a VM here: what it was there, without what only the other site understands."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from samples import KEYS, XML_TEXT, disk, recorded, vm_record

from onedr.model import template
from onedr.model.errors import RefusedError
from onedr.model.template import Pairs
from onedr.opennebula import image_template, network_owners, scheduled_actions, vm_template
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.attributes import GROUP_NAMES
from onedr.opennebula.nics import Counterparts, Network, Owned, Range
from onedr.opennebula.vm_template import Recreation

NET1, NET2 = (
    Network(30, "net1", (Range("10.1.0.10", "02:00:0a:01:00:0a", 10),)),
    Network(31, "net2", (Range("10.2.0.10", "", 5), Range("10.2.0.20", "", 1))),
)
NETWORKS = {"net1": NET1, "net2": NET2}
WEB = opennebula_objects.vm_record(recorded("onevm_show_10.xml"), {102})


def recreate(record: Any = WEB, **changes: Any) -> Recreation:
    """`changes`: of the call, or of what this site has."""
    values: dict[str, Any] = {
        "origin": "fsid:10", "site": "north", "image_ids": {0: 100, 1: 101}, "start": True,
        "here": Counterparts(NETWORKS),
    }
    own = {key: value for key, value in changes.items() if key in values}
    here = replace(values["here"], **{key: value for key, value in changes.items() if key not in values})
    return vm_template.recreate(record, **{**values, "here": here, **own})


def with_template(*attributes: Any, user: Pairs = ()) -> Recreation:
    return recreate(vm_record(template=tuple(attributes), user_template=user), image_ids={})


def one(made: Recreation, key: str) -> Pairs:
    found = list(template.vectors(made.template, key))
    assert len(found) == 1
    return found[0]


def test_a_recorded_vm_is_recreated_as_it_was() -> None:
    made = recreate()
    assert made.template[0] == ("NAME", WEB.name)
    for key, value in (("CPU", "0.5"), ("MEMORY", "512"), ("VCPU", "2")):
        assert template.get(made.template, key) == value
    assert template.get(made.user_template, "MY_ATTR") == "user value <1>"
    assert "MY_ATTR" not in {key for key, _ in made.template}
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
    assert not template.get(disks[0], "ORDER")  # oned makes it of the boot order
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
    assert template.get(nics[0], "NAME") == ""  # oned renames a NIC that a caller calls NIC<n>
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
    dr = Network(55, "dr-lan", (Range("10.1.0.0", "", 256),))
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
    made = recreate(networks={"net1": NET1, "net2": Network(31, "net2", (Range("10.9.0.1", "", 100),))})
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
    alias: Pairs = (
        ("NETWORK", "net2"),
        ("PARENT", "_NIC2"),
        ("PARENT_ID", "2"),
        ("NAME", "NIC0_ALIAS1"),
        ("IP", "10.2.0.11"),
    )
    made = with_template(
        ("NIC_ALIAS", alias), ("NIC", (("NETWORK", "net1"), ("NAME", "_NIC2"), ("NIC_ID", "2")))
    )
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


def test_oned_chooses_the_port_and_it_is_said() -> None:
    made = with_template(("GRAPHICS", (("PORT", "6100"), ("TYPE", "VNC"), ("LISTEN", "0.0.0.0"))))
    assert one(made, "GRAPHICS") == (("TYPE", "VNC"), ("LISTEN", "0.0.0.0"))
    assert any("GRAPHICS/PORT" in warning and "6100" in warning for warning in made.warnings)


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
    assert template.get(made.user_template, key) == ("" if moved else value)
    assert template.get(made.user_template, f"DR_ORIGIN_{key}") == (value if moved else "")
    assert any(key in warning for warning in made.warnings) is moved


def test_a_pci_device_is_asked_for_by_its_kind_and_where_the_guest_sees_it() -> None:
    device = (("VENDOR", "10de"), ("DEVICE", "1eb8"), ("CLASS", "0302"), ("VM_BUS", "0x02"), ("ROOT", "dedicated"),
              ("ADDRESS", "0000:01:00:0"), ("VM_ADDRESS", "02:01.0"), ("PCI_ID", "0"), ("NEW_IN_8", "x"), ("UUID", "y"))
    made = with_template(("PCI", device))
    assert list(template.vectors(made.template, "PCI")) == [device[:5]]
    assert [text for text in made.warnings if "left out" in text] == [
        "PCI/NEW_IN_8 is left out: this release of OneDR does not know it"]


@pytest.mark.parametrize(("address", "prefix", "said"), [
    (("IP", "10.1.0.12"), "2001:db8:1::", False),
    (("IP", "10.1.0.12"), "2001:db8:2::", True),
    (("IP", "10.1.0.12"), "", True),
    (("IP", ""), "2001:db8:1::", False),  # by its MAC
    (("IP", ""), "2001:db8:2::", True),
])
def test_an_address_that_oned_makes_of_a_prefix_is_said_where_it_is_another(
    address: tuple[str, str], prefix: str, said: bool
) -> None:
    own = (address, ("MAC", "02:00:0a:01:00:0c"), ("IP6_GLOBAL", "2001:db8:1::400:aff:fe01:c"))
    part = Range("10.1.0.10" if address[1] else "", "02:00:0a:01:00:0a", 10, "", {"IP6_GLOBAL": prefix})
    made = recreate(vm_record(template=(("NIC", (("NETWORK", "lan"), *own)),)), image_ids={}, networks={"lan": Network(1, "lan", (part,))})
    assert [text.startswith("IP6_GLOBAL of its NIC with 02:00:0a:01:00:0c is another here") for text in made.warnings] == [True] * said


@pytest.mark.parametrize(("os", "kept", "said"), [
    ((("KERNEL", "/boot/vmlinuz"), ("ARCH", "x86_64")), "/boot/vmlinuz", ["KERNEL /boot/vmlinuz is a file"]),
    ((("INITRD", "/boot/initrd"),), "", ["INITRD /boot/initrd is a file"]),
    ((("KERNEL_DS", "$FILE[IMAGE=k]"), ("KERNEL", "/var/x"), ("KERNEL_DS_ID", "5")), "", []),
])
def test_a_kernel_of_the_hosts_is_kept_and_said_one_that_oned_resolved_is_not(os: Pairs, kept: str, said: list[str]) -> None:
    here = {"files": {"k": (Owned(9, "oneadmin"),)}}
    made = recreate(vm_record(template=(("OS", os),)), image_ids={}, **here)
    assert template.get(one(made, "OS"), "KERNEL") == kept
    assert [text in " ".join(made.warnings) for text in said] == [True] * len(said)
    assert bool(made.warnings) is bool(said)


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
    both = (*made.template, *made.user_template)
    assert [value for _, value in both].count("old") == 0
    assert [key for key, _ in made.user_template].count("DR_ORIGIN") == 1
    assert "ONEDR_SEALED" not in {key for key, _ in both}
    assert template.get(made.user_template, "LABELS") == "a"


@given(KEYS, XML_TEXT, XML_TEXT)
def test_special_characters_survive_into_the_text_oned_gets(key: str, name: str, text: str) -> None:
    value = f"{text}<&>\"'[]=,\\n]]>"
    record = vm_record(
        name=f"{name}<&>", template=(("CONTEXT", ((f"X{key}", value),)),), user_template=((f"X{key}", value),)
    )
    made = recreate(record, image_ids={})
    sent = template.from_element(template.parse_xml(template.to_xml(made.template)))
    assert sent[0] == ("NAME", f"{name}<&>")
    assert (
        template.get(next(template.vectors(sent, "CONTEXT")), f"X{key}").replace("$ONEDR_VALUE_0", value)
        == value
    )
    assert ("$" in value) == ("ONEDR_VALUE_0" in {key for key, _ in sent})
    user = template.from_element(template.parse_xml(template.to_xml(made.user_template)))
    assert template.get(user, f"X{key}") == value


# Every key of the VM template reference that means something to oned when a VM is created.
HOSTILE: Pairs = (
    ("DISK", (("IMAGE_ID", "0"),)),
    ("NIC", (("NETWORK", "lan"),)),
    ("NIC_ALIAS", (("PARENT", "NIC0"),)),
    ("VCPU", "7"),
    ("CPU", "9"),
    ("MEMORY", "9999"),
    ("TOPOLOGY", (("SOCKETS", "1"),)),
    ("OS", (("ARCH", "x"),)),
    ("CONTEXT", (("LEAK", "$USER[TOKEN_PASSWORD]"),)),
    ("RAW", (("DATA", "<x/>"),)),
    ("PCI", (("CLASS", "1"),)),
    ("FEATURES", (("ACPI", "NO"),)),
    ("GRAPHICS", (("TYPE", "VNC"),)),
    ("EMULATOR", "/bin/sh"),
    ("SCHED_ACTION", (("ACTION", "terminate"),)),
    ("NUMA_NODE", (("MEMORY", "1"),)),
    ("VMGROUP", (("ROLE", "r"),)),
    ("SUBMIT_ON_HOLD", "NO"),
    ("TM_MAD_SYSTEM", "x"),
    ("CLONING_TEMPLATE_ID", "1"),
    ("VROUTER_ID", "1"),
    ("SECURITY_GROUP_RULE", (("PROTOCOL", "ALL"),)),
    ("BACKUP_CONFIG", (("MODE", "FULL"),)),
    ("NAME", "other"),
)


@given(st.lists(st.sampled_from(HOSTILE)))
def test_a_users_attributes_never_reach_the_creation_of_his_vm(pairs: list[Any]) -> None:
    plain = recreate(start=False)
    made = recreate(replace(WEB, user_template=tuple(pairs)), start=False)
    assert made.template == plain.template
    assert [pair for pair in made.user_template if pair in HOSTILE] == pairs


def test_a_dollar_in_a_context_value_is_not_substituted() -> None:
    context: Pairs = (("PASSWORD", "$6$salt$hash"), ("LEAK", "$USER[TOKEN_PASSWORD]"), ("PLAIN", "a"))
    made = with_template(("CONTEXT", context))
    asked = one(made, "CONTEXT")
    assert template.get(asked, "PLAIN") == "a"
    for key, value in context[:2]:
        name = template.get(asked, key)
        assert name.startswith("$ONEDR_VALUE_") and template.get(made.template, name[1:]) == value
    assert not any(key.startswith("ONEDR_") for key, _ in made.user_template)  # gone with the second call


def test_boot_follows_disks_and_nics_to_their_new_numbers() -> None:
    disks = [("DISK", (("DISK_ID", str(n)), ("SOURCE", f"one/one-{n}"))) for n in (0, 2)]
    body = vm_record(
        template=(
            *disks,
            ("NIC", (("NETWORK", "net1"), ("NIC_ID", "3"))),
            ("OS", (("BOOT", "disk2,disk0,nic3,disk1"),)),
        ),
        disks=(disk(0, "one/one-0"), disk(2, "one/one-2")),
    )
    made = recreate(body, image_ids={0: 100, 2: 102})
    assert template.get(one(made, "OS"), "BOOT") == "disk1,disk0,nic0"
    assert any("disk1 is not here" in warning for warning in made.warnings)


def groups(*found: tuple[str, int, str]) -> dict[str, tuple[Owned, ...]]:
    made: dict[str, tuple[Owned, ...]] = {}
    for name, number, owner in found:
        made[name] = (*made.get(name, ()), Owned(number, owner))
    return made


GUARDED: Pairs = (
    ("NETWORK", "net1"), ("SECURITY_GROUPS", "0,105"), (GROUP_NAMES, "default,web"), ("EXTERNAL", "YES"),
    ("IP", "10.1.0.13"), ("MAC", "02:00:0a:01:00:0d"),
)


def test_security_groups_address_and_what_a_nic_had_are_as_they_were() -> None:
    made = recreate(
        vm_record(template=(("NIC", GUARDED),)), image_ids={},
        security_groups=groups(("default", 0, "oneadmin"), ("web", 7, "oneadmin")),
    )
    found = one(made, "NIC")
    assert template.get(found, "SECURITY_GROUPS") == "0,7"
    assert (template.get(found, "EXTERNAL"), template.get(found, "IP")) == ("YES", "10.1.0.13")
    assert made.warnings == ()  # the MAC follows from the range


@pytest.mark.parametrize("here", [
    {}, groups(("web", 7, "u1"), ("web", 8, "u2")), groups(("other", 7, "alice")), groups(("web", 7, "u1")),
], ids=["missing", "of two others", "another name", "of another user"])
def test_without_its_security_group_a_vm_is_refused(here: Any) -> None:
    with pytest.raises(RefusedError, match="DR_SECURITY_GROUP_MAP"):
        recreate(vm_record(template=(("NIC", GUARDED),)), image_ids={}, security_groups=here)


@pytest.mark.parametrize(("found", "number"), [
    (groups(("web", 7, "oneadmin"), ("web", 8, "mallory")), "7"), (groups(("web", 7, "oneadmin"), ("web", 8, "alice")), "8"),
    ({"web": (Owned(7, "root", group="oneadmin"), Owned(8, "mallory", group="users"))}, "7"),
])
def test_what_another_user_calls_by_that_name_neither_counts_nor_hides_the_admins(found: Any, number: str) -> None:
    made = recreate(vm_record(owner="alice", template=(("NIC", GUARDED),)), image_ids={}, security_groups=found)
    assert template.get(one(made, "NIC"), "SECURITY_GROUPS") == f"0,{number}"


def test_another_users_vm_group_counts_for_none_of_ours() -> None:
    body = vm_record(owner="alice", template=(("VMGROUP", (("VMGROUP_NAME", "tier"), ("ROLE", "front"))),))

    def group_of(*owners: tuple[int, str]) -> str:
        found = {"tier": tuple(Owned(number, owner, ("front",)) for number, owner in owners)}
        made = list(template.vectors(recreate(body, image_ids={}, vm_groups=found).template, "VMGROUP"))
        return template.get(made[0], "VMGROUP_ID") if made else ""

    assert group_of((5, "mallory")) == ""
    assert group_of((5, "mallory"), (6, "oneadmin")) == "6" and group_of((5, "alice"), (6, "oneadmin")) == "5"


def test_a_mapped_security_group_is_taken() -> None:
    made = recreate(
        vm_record(template=(("NIC", GUARDED),)), image_ids={}, security_groups=groups(("dmz", 9, "oneadmin")),
        security_group_map={"web": "dmz"},
    )
    assert template.get(one(made, "NIC"), "SECURITY_GROUPS") == "0,9"


def test_another_users_network_is_taken_only_where_the_operator_names_it() -> None:
    """A reservation may have any name, also that of a network, or the number of one."""
    body = vm_record(owner="alice", template=(("NIC", (("NETWORK", "lan"),)),))
    mallorys, admins = Network(50, "lan", owner="mallory"), Network(41, "dr")

    def taken(networks: dict[str, Network], **names: str) -> str:
        return template.get(one(recreate(body, image_ids={}, networks=networks, network_map=names), "NIC"), "NETWORK_ID")

    with pytest.raises(RefusedError, match="another user's"):
        taken({"lan": mallorys})
    assert taken({"lan": mallorys}, lan="lan") == "50"
    assert taken({"lan": replace(mallorys, twins=(Network(60, "lan"),))}) == "60"
    assert taken({"lan": replace(mallorys, group="oneadmin")}) == "50"
    assert taken({"dr": admins, "41": Network(50, "41", owner="mallory")}, lan="41") == "41"


def test_a_users_network_there_is_that_users_here_whatever_he_called_it() -> None:
    """A reservation that mallory called like an admins' network of this site gets his VM into none of theirs."""
    lan, admins = Network(41, "lan"), Network(40, "dr")
    his = replace(lan, twins=(Network(50, "lan", owner="mallory"),))

    def taken(networks: dict[str, Network], nic: Pairs, **names: str) -> str:
        body = vm_record(owner="mallory", template=(("NIC", nic),))
        return template.get(one(recreate(body, image_ids={}, networks=networks, network_map=names), "NIC"), "NETWORK_ID")

    own = (("NETWORK", "lan"), ("NETWORK_ID", "7"), ("NETWORK_OWNER", "mallory"))
    for networks, names in (
        ({"lan": lan}, {}), ({"lan": lan}, {"lan": "lan"}), ({"dr": admins}, {"lan": "dr"}), ({"dr": admins}, {"lan": "40"}),
        ({"dr": admins}, {}), ({"lan": replace(his.twins[0], owner="bob")}, {}),
    ):
        with pytest.raises(RefusedError, match="is user mallory's there"):
            taken(networks, own, **names)
    assert taken({"lan": his}, own) == "50"
    assert taken({"mine": Network(51, "mine", owner="mallory")}, own, lan="mine") == "51"


def test_what_a_user_wrote_of_his_networks_owner_counts_not() -> None:
    """oned keeps NETWORK_UNAME of a NIC as it was given, whatever its network is."""
    bobs = Network(60, "lan", owner="bob")
    body = vm_record(owner="mallory", template=(("NIC", (("NETWORK", "lan"), ("NETWORK_UNAME", "bob"))),))
    with pytest.raises(RefusedError, match="another user's"):
        recreate(body, image_ids={}, networks={"lan": bobs})
    claimed = (("NIC", (("NETWORK", "lan"), ("NETWORK_ID", "7"), ("NETWORK_OWNER", "bob"))), ("CPU", "1"))
    assert network_owners.with_owners(claimed, {7: "mallory"})[0][1] == (
        ("NETWORK", "lan"), ("NETWORK_ID", "7"), ("NETWORK_OWNER", "mallory"))
    assert network_owners.with_owners(claimed, {}) == (("NIC", (("NETWORK", "lan"), ("NETWORK_ID", "7"))), ("CPU", "1"))


def test_of_two_networks_of_one_name_the_vms_owner_decides() -> None:
    first, second = Network(40, "private", owner="u1"), Network(41, "private", owner="u2")
    networks = {"private": replace(first, twins=(second,))}
    body = vm_record(template=(("NIC", (("NETWORK", "private"),)),))
    for owner, wanted in (("u1", "40"), ("u2", "41")):
        made = recreate(replace(body, owner=owner), image_ids={}, networks=networks)
        assert template.get(one(made, "NIC"), "NETWORK_ID") == wanted
    with pytest.raises(RefusedError, match="several of that name"):
        recreate(replace(body, owner="u3"), image_ids={}, networks=networks)
    mapped = recreate(
        replace(body, owner="u3"), image_ids={}, networks=networks, network_map={"private": "41"}
    )
    assert template.get(one(mapped, "NIC"), "NETWORK_ID") == "41"


@pytest.mark.parametrize("kind", [
    ("X_OF_A_NEWER_RELEASE", "1"), ("SNAPSHOT", (("NAME", "s"),)), ("VROUTER_ID", "3"),
])
def test_what_is_not_known_or_of_one_site_is_left_out_and_said(kind: tuple[str, Any]) -> None:
    made = with_template(kind)
    assert kind[0] not in {key for key, _ in made.template}
    assert any(warning.startswith(f"{kind[0]} is left out") for warning in made.warnings)


def test_files_of_the_other_sites_context_are_left_out_and_said() -> None:
    path = "/var/lib/one//datastores/2/0a1b2c:'prepare.sh'"
    made = with_template(("CONTEXT", (("FILES_DS", path), ("INIT_SCRIPTS", "prepare.sh"))))
    assert one(made, "CONTEXT") == (("INIT_SCRIPTS", "prepare.sh"),)
    assert any("FILES_DS" in warning and "prepare.sh" in warning for warning in made.warnings)


def test_a_done_action_does_not_come_again() -> None:
    done, coming = (
        ("SCHED_ACTION", (("ACTION", "poweroff"), ("DONE", done), ("ID", "0"), ("TIME", "5")))
        for done in ("99", "-1")
    )
    made = with_template(done, coming)
    assert one(made, "SCHED_ACTION") == (("ACTION", "poweroff"), ("TIME", "5"))


def action(**given: str) -> tuple[str, Any]:
    return ("SCHED_ACTION", tuple(given.items()))


def test_an_action_that_repeats_comes_again_until_it_has_ended() -> None:
    """oned sets DONE each time, and TIME to the next one (docs/opennebula-facts.md O38)."""
    nightly = {"ACTION": "poweroff", "REPEAT": "0", "DAYS": "0,1,2,3,4,5,6", "TIME": "2000"}
    made = with_template(
        action(**nightly, DONE="1000", END_TYPE="0"), action(**nightly, DONE="1000", END_TYPE="1", END_VALUE="2"),
        action(**nightly, DONE="1000", END_TYPE="1", END_VALUE="0"), action(ACTION="stop", TIME="2000", DONE="2001"),
    )
    kept = [dict(found) for found in template.vectors(made.template, "SCHED_ACTION")]
    assert kept == [{**nightly, "END_TYPE": "0"}, {**nightly, "END_TYPE": "1", "END_VALUE": "2"}]


def test_an_action_on_a_disk_follows_the_disk_and_one_on_an_object_of_the_other_site_is_left_out() -> None:
    disks = [("DISK", (("DISK_ID", number), ("TYPE", "fs"), ("SIZE", "8"))) for number in ("0", "3")]
    made = with_template(
        *disks, action(ACTION="disk-snapshot-revert", ARGS="3,1", TIME="9", WARNING="0"),
        action(ACTION="disk-snapshot-delete", ARGS="2,1", TIME="9"), action(ACTION="backup", ARGS="105,0", TIME="9"),
        action(ACTION="snapshot-revert", ARGS="1", TIME="9"), action(ACTION="stop", TIME="9", WARNING="7"),
    )
    assert list(template.vectors(made.template, "SCHED_ACTION")) == [
        (("ACTION", "disk-snapshot-revert"), ("ARGS", "1,1"), ("TIME", "9")),
        (("ACTION", "stop"), ("TIME", "9"), ("WARNING", "7")),
    ]
    said = [text for text in made.warnings if text.startswith("SCHED_ACTION")]
    assert [text.split(" is left out")[0] for text in said] == [
        "SCHED_ACTION disk-snapshot-delete", "SCHED_ACTION backup", "SCHED_ACTION snapshot-revert",
    ]


def test_a_rehearsal_carries_no_action_out() -> None:
    given = (action(ACTION="terminate", TIME="5", WARNING="4"), action(ACTION="stop", TIME="99"), ("NAME", "x"))
    assert scheduled_actions.postponed(given, 50) == (
        action(ACTION="terminate", TIME="50"), action(ACTION="stop", TIME="99"), ("NAME", "x"),
    )
    assert scheduled_actions.postponed((action(ACTION="stop", TIME="+60"),), 50) == (action(ACTION="stop", TIME="50"),)


def test_the_settings_of_backups_come_along_and_their_results_do_not() -> None:
    """oned shows them outside of the template; disks that are chosen have new numbers (0 and 2 become 0 and 1)."""
    vm = recorded("onevm_show_10.xml")
    config = vm.find("BACKUPS/BACKUP_CONFIG")
    assert config is not None
    for key, value in (("KEEP_LAST", "3"), ("MODE", "FULL"), ("DISK_IDS", "2"), ("LAST_BACKUP_ID", "7")):
        etree.SubElement(config, key).text = value
    record = opennebula_objects.vm_record(vm, {102})
    assert template.get(record.template, "BACKUP_CONFIG") == "" and len(list(
        template.vectors(record.template, "BACKUP_CONFIG"))) == 1
    made = recreate(replace(record, disks=(disk(0, "one/one-1"), disk(2, "one/one-2"))), image_ids={0: 1, 2: 2})
    assert one(made, "BACKUP_CONFIG") == (("KEEP_LAST", "3"), ("MODE", "FULL"), ("DISK_IDS", "1"))


def test_numa_memory_of_a_pinned_vm_goes_in_as_oned_takes_it() -> None:
    node: Pairs = (("TOTAL_CPUS", "2"), ("MEMORY", "1048576"), ("NODE_ID", "0"))
    pinned = with_template(("TOPOLOGY", (("PIN_POLICY", "CORE"),)), ("NUMA_NODE", node))
    assert one(pinned, "NUMA_NODE") == (("TOTAL_CPUS", "2"), ("MEMORY", "1024"))
    assert not list(template.vectors(with_template(("NUMA_NODE", node)).template, "NUMA_NODE"))


@pytest.mark.parametrize(("number", "kind"), [
    (0, "OS"), (1, "CDROM"), (2, "DATABLOCK"), (5, "CONTEXT"), (9, "DATABLOCK"), (-1, "DATABLOCK"),
])
def test_image_types(number: int, kind: str) -> None:
    assert image_template.image_type(number) == kind


def test_an_existing_rbd_image_is_registered_with_everything_oned_requires() -> None:
    made = image_template.image_description(
        "web-os",
        "OS",
        True,
        "one/one-7",
        1024,
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
    ):
        assert template.get(made, key) == value
    assert (
        template.get(image_template.image_description("n", "OS", False, "s", 1, "o"), "PERSISTENT") == "NO"
    )


def test_a_users_attributes_of_an_image_follow_as_data() -> None:
    """What a marketplace or a backup left on it makes oned refuse a registration by SOURCE."""
    given_keys = (
        "NAME",
        "SOURCE",
        "SIZE",
        "TYPE",
        "FORMAT",
        "PERSISTENT",
        "PATH",
        "DR_ORIGIN",
        "MD5",
        "DR_MESSAGE",
        "FROM_APP",
        "FROM_BACKUP_DS",
    )
    forged = tuple((key, "forged") for key in given_keys)
    kept = (("DESCRIPTION", "a <b>"), ("FROM_APP_NAME", "alpine"))
    assert image_template.portable_image((*forged, *kept)) == kept


def test_a_nic_whose_network_is_still_to_be_chosen_waits_for_it_here_too() -> None:
    waiting = ("NIC", (("NETWORK_MODE", "auto"), ("SCHED_REQUIREMENTS", "BRIDGE=br0"), ("MODEL", "virtio"), ("NIC_ID", "0")))
    assert set(one(with_template(waiting), "NIC")) == {
        ("NETWORK_MODE", "auto"), ("SCHED_REQUIREMENTS", "BRIDGE=br0"), ("MODEL", "virtio"),
    }


@pytest.mark.parametrize(("nic", "said"), [
    ((("MAC", "02:00:00:00:00:99"),), "does not hold 02:00:00:00:00:99: the VM gets a new MAC"),
    ((("IP", "10.1.0.11"), ("IP6", "2001:db8::1")), "the IP6 of its NIC with 10.1.0.11 is none here; it was 2001:db8::1"),
])
def test_an_address_that_changes_is_said_also_a_mac_alone_and_the_second_of_two(nic: Pairs, said: str) -> None:
    body = vm_record(template=(("NIC", (("NETWORK", "net1"), *nic)),))
    assert any(said in warning for warning in recreate(body, image_ids={}, networks=NETWORKS).warnings)


def test_an_ipv6_address_that_follows_the_ipv4_one_is_not_said() -> None:
    both = Network(30, "net1", (Range("10.1.0.10", "", 10, "2001:db8::a"),))
    body = vm_record(template=(("NIC", (("NETWORK", "net1"), ("IP", "10.1.0.12"), ("IP6", "2001:db8::c"))),))
    assert not recreate(body, image_ids={}, networks={"net1": both}).warnings


def test_what_a_vm_showed_at_the_other_site_is_not_shown_of_the_recovered_one() -> None:
    shown = (("DR_STATE", "PROTECTED"), ("DR_RECOVERY_POINT", "2026-11-30T14:00:00Z"), ("NOTE", "x"))
    made = recreate(vm_record(user_template=shown), image_ids={})
    assert template.get(made.user_template, "NOTE") == "x"
    assert not {"DR_STATE", "DR_RECOVERY_POINT"} & {key for key, _ in (*made.user_template, *made.template)}
