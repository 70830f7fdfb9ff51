"""Every attribute of onedr/opennebula/attributes.py, there and back, XML against XML.

VMs at site A have all of them that a front-end takes. They move to site B and home again. What differs there must be
what the table says of the attribute; what is lost must have been announced before, by `check` and by `--dry-run`.
"""
from __future__ import annotations

import base64
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

import oracle
import pytest
import workload as w

from onedr.model import names
from onedr.opennebula import attributes
from onedr.opennebula.attributes import Rule, Treatment
from sandbox.cloud import Cloud
from sandbox.waiting import TimedOut, until

if TYPE_CHECKING:
    from conftest import Sites

VM_KINDS = ("onedr.vm", "onedr.reader")
ALL = ("whole", "parts", "paged")
POWEROFF, HOLD = 8, 2
KEPT, MADE, MAPPED, LEFT_OUT = Treatment.KEPT, Treatment.REGENERATED, Treatment.MAPPED, Treatment.LEFT_OUT

# What a front-end sets itself, takes in one form only, or refuses of oneadmin: seen in other tests, or nowhere.
ELSEWHERE = {
    "VM": {
        "SNAPSHOT": "made by a running guest's hypervisor: tests/unit/opennebula/test_vm_template.py",
    },
    "DISK": {
        "IMAGE_UID": "of an image by name only, as IMAGE_UNAME", "IMAGE_UNAME": "of an image by name only",
    },
    "NIC": {
        "IP6": "of networks with IPv6 ranges: tests/unit/opennebula/test_vm_template.py",
        "NETWORK_UID": "of a network by name only, as NETWORK_UNAME",
        "SECURITY_GROUP_NAMES": "of records only",
        "NETWORK_OWNER": "of records only, of users' networks: tests/unit/replication/test_write_records.py",
    },
    "USER_TEMPLATE": {},
    "IMAGE": {},
}
NOT_OF_THE_STAND_IN = {
    "VM": {"VMGROUP": "it has no VM groups"},
    "DISK": {}, "NIC": {}, "USER_TEMPLATE": {}, "IMAGE": {},
}
# Attributes whose value a front-end checks; any other is the text `x`.
OF_DISK = {
    "TARGET": "vdc", "DEV_PREFIX": "vd", "CACHE": "none", "IO": "native", "DISCARD": "unmap", "READONLY": "NO",
    "IOTHREAD": "1", "SERIAL": "s-1", "VIRTIO_BLK_QUEUES": "4", "ALLOW_ORPHANS": "YES", "ORDER": "",
    "LUKS_SECRET": "0f0f0f0f-0000-0000-0000-000000000000",
}
OF_NIC = {
    "MODEL": "virtio", "SSH": "YES", "EXTERNAL": "YES", "VIRTIO_QUEUES": "4", "FILTER_IP_SPOOFING": "YES",
    "FILTER_MAC_SPOOFING": "YES", "FILTER": "clean-traffic", "MTU": "1450", "GUEST_MTU": "1400", "METRIC": "7",
    "IP6_METRIC": "8", "METHOD": "static", "IP6_METHOD": "static", "GATEWAY": "192.0.2.1", "DNS": "192.0.2.53",
    "NETWORK_ADDRESS": "192.0.2.0", "NETWORK_MASK": "255.255.255.0", "TRUST": "on", "SPOOFCHK": "on",
    "VLAN_TAGGED_ID": "1-9", "CVLANS": "1-9", "QINQ_TYPE": "802.1q", "PREFIX_LENGTH": "64", "FLOATING_IP": "YES",
    "FLOATING_ONLY": "NO", "SCHED_REQUIREMENTS": "NO_SUCH=1", "SCHED_RANK": "FREE_CPU",
}
AT_B = {"DNS": "198.51.100.53"}  # what site B's network says of its NICs
OF_VM = {
    "whole": """
CPU=0.1
VCPU=2
MEMORY=128
CPU_COST=1.5
MEMORY_COST=2.5
DISK_COST=3.5
EMULATOR="/usr/bin/qemu"
FEATURES=[ACPI=YES,APIC=NO,GUEST_AGENT=NO]
CPU_MODEL=[MODEL=host-passthrough]
INPUT=[BUS=usb,TYPE=tablet]
RAW=[TYPE=kvm,DATA="<memoryBacking><nosharepages/></memoryBacking>",VALIDATE=NO]
VIDEO=[TYPE=virtio,VRAM=16384]
HYPERV_OPTIONS=[DATA="<relaxed/>"]
SPICE_OPTIONS=[DATA="<image/>"]
TOPOLOGY=[SOCKETS=1,CORES=2,THREADS=1]
NIC_DEFAULT=[MODEL=virtio]
IOMMU=[MODEL=intel,MODE=device]
OS=[ARCH=x86_64,MACHINE=q35,FIRMWARE="/usr/share/OVMF/OVMF_CODE.fd",FIRMWARE_SECURE=NO,BOOT="disk1,nic0"]
GRAPHICS=[TYPE=VNC,LISTEN="0.0.0.0",PORT=6111,PASSWD=secret]
TPM=[MODEL=tpm-crb]
SCHED_ACTION=[ACTION=terminate,TIME=4000000000]
SCHED_ACTION=[ACTION=disk-snapshot-create,ARGS="1,nightly",TIME=4000000000,REPEAT=3,DAYS="24",END_TYPE=0,WARNING=3999990000]
BACKUP_CONFIG=[KEEP_LAST=3,FS_FREEZE=NONE,BACKUP_VOLATILE=NO,DISK_IDS="1"]
SCHED_DS_REQUIREMENTS="NAME=\\"ceph-dr-system\\""
OWN="the owner's [text]"
LABELS="prod,web/<front>"
USER_INPUTS=[DB_PASSWORD="M|password|of the $DB|| ",SIZE="O|range|GiB|1..9|2"]
INPUTS_ORDER="SIZE,DB_PASSWORD"
HASHED="$6$salt$of.a/password"
VECTOR=[A=1,B="two"]
""",
    "parts": f"""
{w.SMALL}
VCPU=1
VCPU_MAX=4
MEMORY_MAX=512
MEMORY_SLOTS=4
MEMORY_RESIZE_MODE=HOTPLUG
MEMORY_ENCRYPTION=[TYPE=SEV]
PCI=[VENDOR=10de,DEVICE=0863,CLASS=0300]
VROUTER_ID=7
VROUTER_KEEPALIVED_ID=9
VROUTER_KEEPALIVED_PASSWORD=secret
SCHED_REQUIREMENTS="NAME=\\"elsewhere\\""
""",
    "paged": f"""
{w.SMALL}
VCPU=1
TOPOLOGY=[PIN_POLICY=NONE,SOCKETS=1,CORES=1,THREADS=1,HUGEPAGE_SIZE=2]
""",
}
SECTIONS: Mapping[str, Mapping[str, Rule]] = {
    "VM": attributes.VM, "DISK": attributes.DISK, "NIC": attributes.NIC, "NIC_ALIAS": attributes.NIC,
    "USER_TEMPLATE": attributes.USER_TEMPLATE, "IMAGE": attributes.IMAGE,
}
_OF_ID = re.compile(r"IMAGE_ID=\"?(\d+)")


def vector(name: str, given: Mapping[str, str]) -> str:
    return f"{name}=[" + ",".join(f'{key}="{value}"' for key, value in given.items() if value) + "]\n"


def every(section: Mapping[str, Rule], values: Mapping[str, str], *treatments: Treatment) -> dict[str, str]:
    """A value for each attribute of a section with one of these treatments."""
    return {
        key: values.get(key, "4096" if re.search("_SEC|_BW|_KB", key) else "x")
        for key, rule in section.items() if rule.treatment in treatments
    }


@dataclass
class Seen:
    """A site's objects at one moment: XML of VMs and images by name."""

    vms: dict[str, Element] = field(default_factory=dict)
    images: dict[str, Element] = field(default_factory=dict)


def look(cloud: Cloud) -> Seen:
    api = cloud.api
    vms = {vm.NAME: oracle.asked(cloud, "vm", vm.ID, True) for vm in api.vmpool.infoextended(-2, -1, -1, -1).VM}
    images = {image.NAME: oracle.asked(cloud, "image", image.ID) for image in api.imagepool.info(-2, -1, -1).IMAGE}
    return Seen(vms, images)


@dataclass
class Story:
    a: Cloud
    b: Cloud
    real: bool
    left: Seen = field(default_factory=Seen)
    check: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    moved: dict[str, Any] = field(default_factory=dict)
    there: Seen = field(default_factory=Seen)
    run: dict[str, Any] = field(default_factory=dict)
    home: Seen = field(default_factory=Seen)


def furnish(cloud: Cloud, **of_network: str) -> tuple[int, int, int]:
    """A network, a security group and files, at each site under the same names with other ids."""
    more = "".join(f"{key}={value}\n" for key, value in of_network.items())
    network = f"NAME=wide\nVN_MAD=dummy\nBRIDGE=br1\nAR=[TYPE=IP4,IP=203.0.113.10,SIZE=50]\n{more}"
    wide = cloud.api.vn.allocate(network, -1)
    group = cloud.api.secgroup.allocate("NAME=web\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE=80]\n")
    if not of_network:  # site A's lets only the group's traffic through; site B's has the default group, which is open
        cloud.api.vn.update(wide, f"SECURITY_GROUPS={group}\n", 1)
    files = next(each.ID for each in cloud.api.datastorepool.info().DATASTORE if each.NAME == "files")
    made = []
    with tempfile.NamedTemporaryFile("w", dir="/var/tmp") as file:  # where file datastores may read
        file.write("true\n")
        file.flush()
        for name, kind in (("init.sh", "CONTEXT"), ("vmlinuz", "KERNEL")):
            made.append(int(cloud.api.image.allocate(f"NAME={name}\nTYPE={kind}\nPATH={file.name}\n", files)))
        for image in made:
            cloud.wait_image(image)
    return int(group), made[0], made[1]


def disks_and_nics(images: list[int], volatile: bool, group: int) -> str:
    """Disks of these images, the last with every setting, and a NIC and an alias with every setting."""
    disk = every(attributes.DISK, OF_DISK, KEPT, LEFT_OUT)
    nic = every(attributes.NIC, OF_NIC, KEPT, Treatment.NETWORK, LEFT_OUT)
    text = "".join(vector("DISK", {"IMAGE_ID": str(image)}) for image in images[:-1])
    text += vector("DISK", {"IMAGE_ID": str(images[-1]), **disk})
    text += vector("DISK", {"TYPE": "fs", "SIZE": "8", "FORMAT": "raw"}) if volatile else ""
    own = {"NETWORK": "wide", "NETWORK_UNAME": "oneadmin", "SECURITY_GROUPS": str(group), "NAME": "front", **nic}
    return text + vector("NIC", own) + vector("NIC_ALIAS", {**own, "NAME": "second", "PARENT": "front"})


def create(story: Story, group: int, script: int, kernel: int) -> None:
    a, api = story.a, story.a.api
    base = w.create_image(a, "base", persistent=False)
    data = {name: w.create_image(a, f"{name}-data", wait=False) for name in ALL}
    quorum, shelved = (w.create_image(a, name, more, wait=False)
                       for name, more in (("quorum", "PERSISTENT_TYPE=SHAREABLE\n"), ("shelved", "")))
    for image in (*data.values(), quorum, shelved):
        a.wait_image(image)
    api.image.enable(shelved, False)
    api.image.update(data["whole"], "".join(
        f"{key}={value}\n" for key, value in every(attributes.IMAGE, {}, KEPT, LEFT_OUT).items()
    ) + "OWN=mine\nVECTOR=[A=1]\n", 1)
    context = f'NETWORK=YES,OWN="a \\"quoted\\" text",PASSWORD=secret,FILES_DS="$FILE[IMAGE_ID={script}]"'
    text = {
        "whole": f"CONTEXT=[{context}]\n{disks_and_nics([base, data['whole']], False, group)}",
        "parts": f"{disks_and_nics([quorum, data['parts']], True, group)}CONTEXT=[NETWORK=YES,FILES=/var/tmp/own]\n"
                 f'OS=[ARCH=x86_64,KERNEL_DS="$FILE[IMAGE_ID={kernel}]",BOOT=disk0]\n',
        "paged": disks_and_nics([data["paged"], quorum, base], False, group),
    }
    if story.real:
        vm_group = api.vmgroup.allocate("NAME=tier\nROLE=[NAME=db]\n")
        text["parts"] += f"VMGROUP=[VMGROUP_ID={vm_group},ROLE=db]\n"
        story.b.api.vmgroup.allocate("NAME=other\nROLE=[NAME=db]\n")
        story.b.api.vmgroup.allocate("NAME=tier\nROLE=[NAME=db]\n")
    for name in ALL:
        vm = int(api.vm.allocate(f"NAME={name}\n{OF_VM[name]}{text[name]}", name != "whole"))
        if name == "whole":
            a.wait_vm(vm)
            api.vm.action("poweroff-hard", vm)
            a.wait_vm(vm, "POWEROFF")
            api.vm.update(vm, "SERVICE_ID=3\nROLE_NAME=db\nERROR=old\nSCHED_MESSAGE=old\n", 1)
        if name == "parts":
            api.vm.lock(vm, 2, False)


def records_of(cloud: Cloud) -> dict[tuple[str, str], str]:
    """The records of VMs in a site's pool, by image and key; not what clones inherit of their bases."""
    with w.open_pool(cloud) as pool:
        return {
            (name, key): value for name in pool.names() for key, value in w.values_of(pool, name).items()
            if key.startswith(VM_KINDS) and not (key.startswith("onedr.reader") and names.parse_vm_disk(name))
        }


def share_a_record_key(*clouds: Cloud) -> None:
    """So that secrets travel."""
    key = base64.b64encode(bytes(range(64))).decode()
    for cloud in clouds:
        path = cloud.one_location / "etc/onedr/record.key"
        path.write_text(key)
        path.chmod(0o600)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    w.introduce(a, b)
    w.introduce(b, a)
    share_a_record_key(a, b)
    told = Story(a, b, sites.real)
    b.api.secgroup.allocate("NAME=other\nRULE=[PROTOCOL=ALL,RULE_TYPE=OUTBOUND]\n")  # so that ids differ
    furnish(b, **AT_B)
    create(told, *furnish(a))
    told.left = look(a)
    disks = [disk["name"] for disk in w.status(a)["disks"]]
    w.wait_complete(a, disks)
    a.run("onedr", "reconcile", str(a.datastore_id))
    try:
        until("the same records at both sites", lambda: records_of(a) == records_of(b), w.ARRIVES_S, 0.5)
    except TimedOut as error:
        here, there = records_of(a), records_of(b)
        raise AssertionError(sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))) from error
    w.wait_point(b, ALL)
    told.check = b.run("onedr", "check", str(b.datastore_id), check=False).stdout
    told.plan = b.onedr("move", str(b.datastore_id), "--dry-run")
    told.moved = b.onedr("move", str(b.datastore_id), "--yes", check=False)
    assert not told.moved.get("failed"), told.moved
    told.there = look(b)
    until("the records back", lambda: {vm["name"] for vm in w.status(a)["vms"] if not vm["here"]} >= set(ALL), 120, 0.5)
    w.wait_complete(b, disks)
    w.wait_point(a, ALL)
    told.run = a.onedr("failback", str(a.datastore_id), "--yes", check=False)
    assert told.run["event"] == "verdict", told.run
    told.home = look(a)
    yield told


Leaf = tuple[str, str, int, str]  # section, vector or empty, its number, attribute


def leaves(vm: Element) -> dict[Leaf, str]:
    """All attributes of a VM by where they are."""
    found: dict[Leaf, str] = {}
    for part in ("TEMPLATE", "USER_TEMPLATE", "BACKUPS"):
        seen: dict[str, int] = {}
        section = "USER_TEMPLATE" if part == "USER_TEMPLATE" else "VM"
        for each in vm.find(part) or ():
            number = seen.get(each.tag, 0)
            seen[each.tag] = number + 1
            if each.tag in ("DISK", "NIC", "NIC_ALIAS"):
                found.update({(each.tag, each.tag, number, leaf.tag): leaf.text or "" for leaf in each})
            elif len(each):
                found.update({(section, each.tag, number, leaf.tag): leaf.text or "" for leaf in each})
            else:
                found[section, "", number, each.tag] = each.text or ""
    return found


def rule_of(leaf: Leaf, section: Mapping[str, Rule] | None = None) -> Rule:
    """What the table says of it; of what a user put on his VM, it is kept."""
    where, outer, _, name = leaf
    table = SECTIONS[where] if section is None else section
    if where in ("DISK", "NIC", "NIC_ALIAS"):
        return table.get(name, attributes.UNKNOWN)
    if where == "USER_TEMPLATE":
        return table.get(outer or name, Rule(KEPT))
    return table.get(outer or name, attributes.UNKNOWN)


def same_object(site: Cloud, leaf: Leaf, text: str, vm: Element) -> str:
    """A value with ids replaced by names, which must be equal at both sites."""
    where, outer, _, name = leaf
    if name == "SECURITY_GROUPS":
        found = (oracle.asked(site, "secgroup", int(each)).findtext("NAME") for each in text.split(",") if each)
        return ",".join(sorted(map(str, found)))
    if name in ("KERNEL_DS", "INITRD_DS") and _OF_ID.search(text):
        return str(oracle.asked(site, "image", int(_OF_ID.search(text)[1])).findtext("NAME"))  # type: ignore[index]
    if (outer, name) == ("CONTEXT", "FILES_DS"):
        return ",".join(re.findall(r":'([^']*)'", text))
    if name in ("IMAGE", "SOURCE", "IMAGE_UNAME", "NETWORK_UNAME"):
        return ""  # how an object was named; that it is the right one is tested below
    if where in ("DISK", "NIC", "NIC_ALIAS") and name.endswith("_ID") or (outer, name) == ("VMGROUP", "VMGROUP_ID"):
        return ""
    return text


def announced(story: Story, vm: str) -> tuple[str, str]:
    """What check and the dry run said of a VM."""
    check = "\n".join(line for line in story.check.splitlines() if f"VM {vm} (" in line)
    plan = "\n".join(found for each in story.plan["vms"] if each["name"] == vm for found in each["warnings"])
    return check, plan


def is_front_ends(leaf: Leaf) -> bool:
    """Does a front-end or OneDR make it at each site?"""
    where, outer, _, name = leaf
    generated = outer == "CONTEXT" and re.fullmatch(r"(ETH|PCI)\d+_.*|DISK\d*_?.*|TARGET|VMID|ONEGATE_ENDPOINT", name)
    mark = where == "USER_TEMPLATE" and name.startswith("DR_")
    made = outer in ("SCHED_ACTION", "PCI", "NUMA_NODE", "TOPOLOGY") and name in (
        "ID", "PARENT_ID", "PCI_ID", "TYPE", "DONE", "MESSAGE", "ADDRESS", "SHORT_ADDRESS", "NODE_ID")
    return bool(generated or mark or made or (outer == "OS" and re.match("KERNEL$|INITRD$|KERNEL_DS_", name)))


def test_the_vms_have_every_attribute_of_the_table(story: Story) -> None:
    seen: dict[str, set[str]] = {name: set() for name in SECTIONS}
    for vm in story.left.vms.values():
        for where, outer, _, name in leaves(vm):
            seen[where].add(name if where in ("DISK", "NIC", "NIC_ALIAS") else outer or name)
    seen["VM"] |= {"DISK", "NIC", "NIC_ALIAS"}
    for image in story.left.images.values():
        seen["IMAGE"] |= {each.tag for each in image.find("TEMPLATE") or ()}
    missing = {}
    for where, table in SECTIONS.items():
        known = "NIC" if where == "NIC_ALIAS" else where
        excused = {**ELSEWHERE[known], **({} if story.real else NOT_OF_THE_STAND_IN[known])}
        if where == "NIC":
            excused.update(PARENT="of an alias", PARENT_ID="of an alias")
        missing[where] = {key for key, rule in table.items() if rule.treatment is not MADE} - seen[where] - excused.keys()
    assert not any(missing.values()), missing


@pytest.mark.parametrize("name", ALL)
def test_what_differs_at_site_b_is_what_the_table_says_and_was_announced(story: Story, name: str) -> None:
    there, here = story.left.vms[name], story.there.vms[name]
    before, after = leaves(there), leaves(here)
    check, plan = announced(story, name)
    bad = {}
    for leaf in before.keys() | after.keys():
        rule, was, now = rule_of(leaf), before.get(leaf, ""), after.get(leaf, "")
        if was == now or rule.treatment is MADE or is_front_ends(leaf):
            continue
        if same_object(story.a, leaf, was, there) == same_object(story.b, leaf, now, here) and rule.treatment is MAPPED:
            continue
        words = {leaf[3], leaf[1]} - {"", *SECTIONS}
        said = [any(word in text for word in words) for text in (check, plan)]
        if rule.treatment is KEPT or not all(said) or (rule.treatment is LEFT_OUT and now):
            bad[leaf] = (rule.treatment.value, was, now, said)
    assert not bad, "\n".join(f"{leaf}: {what}" for leaf, what in sorted(bad.items()))


def test_the_disks_at_site_b_are_the_copies_of_those_at_site_a(story: Story) -> None:
    def sources(seen: Seen, name: str) -> list[str]:
        return [disk.findtext("SOURCE") or "" for disk in seen.vms[name].iterfind("TEMPLATE/DISK")]

    base, data = sources(story.left, "whole")
    assert sources(story.there, "whole") == [f"{base}-{story.left.vms['whole'].findtext('ID')}-0", data]
    assert sources(story.there, "parts") == sources(story.left, "parts"), "and a volatile one"
    assert sources(story.there, "paged")[0] == sources(story.left, "paged")[0]
    clone = list(story.there.vms["paged"].iterfind("TEMPLATE/DISK"))[-1]
    assert clone.findtext("CLONE") == "YES" and clone.findtext("IMAGE") == "base"


def test_a_disk_that_two_vms_write_to_is_theirs_wherever_they_are(story: Story) -> None:
    for seen in (story.left, story.there, story.home):
        quorum = seen.images["quorum"].findtext("ID")
        for name, place in (("parts", 0), ("paged", 1)):
            disk = list(seen.vms[name].iterfind("TEMPLATE/DISK"))[place]
            assert (disk.findtext("IMAGE_ID"), disk.findtext("SHAREABLE")) == (quorum, "YES")


def test_an_image_that_was_disabled_is_so_wherever_it_is(story: Story) -> None:
    assert [seen.images["shelved"].findtext("STATE") for seen in (story.left, story.there, story.home)] == ["3"] * 3


def test_no_network_at_site_b_opens_a_vm_by_a_security_group_of_its_own(story: Story) -> None:
    for seen, site in ((story.left, story.a), (story.there, story.b), (story.home, story.a)):
        for name in ALL:
            for nic in seen.vms[name].iterfind("TEMPLATE/NIC"):
                groups = [int(each) for each in (nic.findtext("SECURITY_GROUPS") or "").split(",") if each]
                assert [oracle.asked(site, "secgroup", each).findtext("NAME") for each in groups] == ["web"], name


def test_a_users_lock_is_on_his_vm_wherever_it_is(story: Story) -> None:
    for seen in (story.left, story.there, story.home):
        assert {name: vm.findtext("LOCK/LOCKED") for name, vm in seen.vms.items()} == {"whole": None, "parts": "2", "paged": None}


def test_an_images_attributes_are_there_but_those_the_table_leaves_out(story: Story) -> None:
    def own(seen: Seen) -> dict[str, Any]:
        found = seen.images["whole-data"].find("TEMPLATE")
        return {each.tag: each.text or [leaf.text for leaf in each] for each in (found if found is not None else ())}

    before, after = own(story.left), own(story.there)
    kept = {key: value for key, value in before.items() if attributes.IMAGE.get(key, Rule(KEPT)).treatment is KEPT}
    assert {key: after.get(key) for key in kept} == kept and kept.keys() >= {"OWN", "VECTOR", "DEV_PREFIX"}
    left = {key for key, rule in attributes.IMAGE.items() if rule.treatment is LEFT_OUT}
    assert left <= before.keys() and not left & after.keys()
    for said in announced(story, "whole"):
        assert all(f"{key} is left out" in said for key in left), said


@pytest.mark.parametrize("name", ALL)
def test_at_home_all_is_as_it_was(story: Story, name: str) -> None:
    assert not story.run.get("failed"), story.run
    before, after = leaves(story.left.vms[name]), leaves(story.home.vms[name])
    assert story.home.vms[name].findtext("ID") == story.left.vms[name].findtext("ID")
    bad = {
        leaf: (before.get(leaf), after.get(leaf)) for leaf in before.keys() | after.keys()
        if before.get(leaf, "") != after.get(leaf, "") and not is_front_ends(leaf) and rule_of(leaf).treatment is not MADE
    }
    assert not bad, bad


def test_nothing_is_said_to_have_been_changed_there(story: Story) -> None:
    said = [text for texts in story.run["warnings"].values() for text in texts]
    assert not [text for text in said if "changed at the other site" in text]
