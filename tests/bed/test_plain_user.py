"""A plain user writes into his VM's attributes all that a template may hold: the VM he gets at the other site,
and at home again, is the one he had.
"""
from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyone
import pytest
import workload as w
from lxml import etree

from onedr.ceph.connection import Pool
from onedr.opennebula import attributes
from sandbox.cloud import DATASTORE, NETWORK, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

LEAK = "$USER[TOKEN_PASSWORD] $UNAME ${NAME} $NETWORK[NAME, NETWORK_ID=0] $IMAGE[SOURCE, IMAGE_ID=0]"
NAME = "[prod] [bold]db @me %s \u009b2J \u202egnp"  # oned itself refuses / $ < > : and quotes
LIMIT_S = 240  # of every wait; other beds may be at work on this machine
# What a VM is, apart from what oned works out at each site: all else of its template must be as it was.
_OF_A_SITE = {
    "AUTOMATIC_REQUIREMENTS", "AUTOMATIC_DS_REQUIREMENTS", "AUTOMATIC_NIC_REQUIREMENTS", "SECURITY_GROUP_RULE",
    "TEMPLATE_ID", "VMID", "TM_MAD_SYSTEM", "SNAPSHOT", "SUBMIT_ON_HOLD",
}
_OF_A_DISK = ("TARGET", "READONLY", "SOURCE", "SIZE", "DEV_PREFIX")
_OF_A_NIC = ("NETWORK", "IP", "MAC", "SECURITY_GROUPS")


@dataclass
class Story:
    """What mallory could write, and his VM and the victim's at each station."""

    sites: Sites
    wrote: set[str] = field(default_factory=set)
    refused: dict[str, str] = field(default_factory=dict)
    at: dict[str, dict[str, Any]] = field(default_factory=dict)  # station -> VM name -> VM
    secrets: list[str] = field(default_factory=list)
    logs: str = ""


def pieces() -> Iterator[tuple[str, str]]:
    """Every attribute there is, by a name of its own, as oned's XML: in the form that would hurt most."""
    image, network = "<IMAGE_ID>0</IMAGE_ID>", f"<NETWORK>{NETWORK}</NETWORK><NETWORK_UNAME>oneadmin</NETWORK_UNAME>"
    special = {
        "DISK": [image, "<TYPE>swap</TYPE><SIZE>64</SIZE>", f"{image}<IMAGE_ID>1</IMAGE_ID>"],
        "NIC": [network], "NIC_ALIAS": [f"{network}<PARENT>NIC0</PARENT>"],
        "CONTEXT": [f"<LEAK>{LEAK}</LEAK><FILES>/var/lib/one/.one/one_auth</FILES><FILES_DS>$FILE[IMAGE_ID=0]</FILES_DS>"],
        "OS": ["<ARCH>armv7</ARCH><KERNEL_DS>$FILE[IMAGE_ID=0]</KERNEL_DS>", "<BOOT>nic0</BOOT>"],
        "TOPOLOGY": ["<SOCKETS>1</SOCKETS>"], "RAW": ["<TYPE>kvm</TYPE><DATA>&lt;devices/&gt;</DATA>"],
        "SCHED_ACTION": ["<ACTION>terminate-hard</ACTION><TIME>+1</TIME>"],
        "BACKUP_CONFIG": ["<KEEP_LAST>1</KEEP_LAST>"], "VMGROUP": ["<VMGROUP_ID>0</VMGROUP_ID><ROLE>x</ROLE>"],
        "PCI": ["<VENDOR>8086</VENDOR>"], "GRAPHICS": ["<TYPE>vnc</TYPE><PORT>5900</PORT><PASSWD>$USER[TOKEN_PASSWORD]</PASSWD>"],
    }
    names = {key for key in (*attributes.VM, *attributes.USER_TEMPLATE) if not key.startswith("SCHED_")}
    names |= {"SCHED_ACTION", "DISK_COST", "HYPERVISOR", "USER_INPUTS", "PUBLIC_CLOUD"}
    for key in sorted(names):
        for number, inner in enumerate(special.get(key, ["7", f"<A>{LEAK}</A>"])):
            yield f"{key}.{number}", f"<{key}>{inner}</{key}>"
            yield f"{key.lower()}.{number}", f"<{key.lower()}>{inner}</{key.lower()}>"
    marks = {"DR_ORIGIN": "x:1", "DR_FINISHED": "YES", "DR_HELD": "ACTIVE", "DR_LOCKED_STATE": "ACTIVE", "DR_DRILL": "t",
             "DR_DRILL_OF": "x:1", "DR_RUN_TOKEN": "t", "DR_SNAPSHOT_CARRIER": "YES", "DR_START_PENDING": "YES",
             "DR_STATE": "SPLIT_BRAIN", "DR_RECOVERY_POINT": "x", "DR_ORIGIN_SITE": "a", "DR_ORIGIN_VM": "1", "DR_ORIGIN_DISK": "<IMAGE_ID>0</IMAGE_ID>",
             "ONEDR_VALUE_0": LEAK, "ONEDR_SECRETS": "x", "ONEDR_WITHHELD": "x"}
    for key, inner in marks.items():
        yield key, f"<{key}>{inner}</{key}>"
        yield key.lower(), f"<{key.lower()}>{inner}</{key.lower()}>"
    yield "multiline", "<NOTE>one\nDISK=[IMAGE_ID=0]\nNIC=[NETWORK=lan]\n]]&gt; \"q\" \\ &amp; \u202e\u009b</NOTE>"
    yield "cdata", '<QUOTE><![CDATA[</QUOTE><DISK><IMAGE_ID>0</IMAGE_ID></DISK>]]></QUOTE>'


def write_all(story: Story, own: Any, vm: int) -> None:
    """As mallory, one after another: oned says what a plain user may not."""
    for name, piece in pieces():
        try:
            own.vm.update(vm, f"<TEMPLATE>{piece}</TEMPLATE>", 1)
            story.wrote.add(name)
        except pyone.OneException as error:
            story.refused[name] = str(error)
    for text in ("DR_PRIORITY=1", "DR_DELAY=3s"):
        own.vm.update(vm, text, 1)


def person(cloud: Cloud, name: str) -> int:
    return int(cloud.api.user.allocate(name, f"password-of-{name}", "core", []))


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    told, a, b = Story(sites), sites.a, sites.b
    w.introduce(b, a)
    w.introduce(a, b)
    key = base64.b64encode(os.urandom(64))
    for cloud in (a, b):
        path = cloud.one_location / "etc/onedr/record.key"
        path.touch(mode=0o600)
        path.write_bytes(key)
    for cloud in (a, b):  # so that $USER[TOKEN_PASSWORD] of the creator is something
        told.secrets.append(str(cloud.api.user.info(0).TEMPLATE.get("TOKEN_PASSWORD") or ""))
        w.create_image(cloud, "private", 'NOTE="private"\n')
        person(cloud, "mallory")
        person(cloud, "victor")
    users = {user.NAME: user.ID for user in a.api.userpool.info().USER}
    vms = {}
    for name, owner in (("evil", "mallory"), ("good", "victor")):
        image = w.create_image(a, f"{name}-disk")
        vms[name] = w.create_vm(a, name, [image], (
            f'NIC=[NETWORK="{NETWORK}"]\nVCPU=1\nCONTEXT=[NETWORK="YES",OWN="$NAME",TEXT="of {name}"]\n'
        ))
        a.api.vm.chown(vms[name], users[owner], 1)
        a.api.image.chown(image, users[owner], 1)
    same = w.create_image(b, "evil-disk")  # a name that he has at the other site too
    b.api.image.chown(same, next(user.ID for user in b.api.userpool.info().USER if user.NAME == "mallory"), 1)
    own = pyone.OneServer(a.endpoint, session="mallory:password-of-mallory")
    write_all(told, own, vms["evil"])
    own.vm.rename(vms["evil"], NAME)
    own.vm.lock(vms["evil"], 4, False)  # all actions, oneadmin's too
    told.at["before"] = {name: a.api.vm.info(vm) for name, vm in vms.items()}
    with w.open_pool(b) as there:
        for name, vm in vms.items():
            _wait_for_record(a, there, vm, NAME if name == "evil" else name)
    w.wait_complete(a, [disk for vm in vms.values() for disk in w.vm_disks(a, vm)])
    look(told, a, "status at home")
    for cloud, verb in ((b, "move"), (a, "failback")):
        shown = cloud.run("onedr", verb, DATASTORE, "--dry-run", check=False)
        told.logs += shown.stdout + shown.stderr
        done = cloud.run("onedr", verb, DATASTORE, "--yes", check=False)
        told.logs += done.stdout + done.stderr
        print(done.stdout, done.stderr)
        assert done.returncode in (0, 5), done.stdout + done.stderr
        told.at[verb] = by_owner(cloud)
        look(told, cloud, verb)
    yield told


def _wait_for_record(a: Cloud, there: Pool, vm: int, name: str) -> None:
    """With what was written last: his name."""
    disk = w.vm_disks(a, vm)[0]

    def recorded() -> bool:
        found = w.vm_record(there, disk)
        return found is not None and found.name == name

    until(f"the record of {name}", recorded, LIMIT_S)


def look(story: Story, cloud: Cloud, when: str) -> None:
    for words in (("status",), ("history",), ("check",), ("snapshots",)):
        done = cloud.run("onedr", *words, DATASTORE, check=False)
        assert done.returncode in (0, 6), f"{when}: {words}: {done.stdout}{done.stderr}"
        story.logs += done.stdout + done.stderr


def by_owner(cloud: Cloud) -> dict[str, Any]:
    """The two VMs, by whom they belong to: the newest of each, in whatever state."""
    found = {}
    for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        if vm.UNAME in ("mallory", "victor"):
            found[{"mallory": "evil", "victor": "good"}[vm.UNAME]] = cloud.api.vm.info(vm.ID)
    return found


def plain(template: Mapping[str, Any]) -> dict[str, Any]:
    """A VM's own template without what is of one site."""
    kept = {key: value for key, value in template.items() if key not in _OF_A_SITE}
    for key, wanted in (("DISK", _OF_A_DISK), ("NIC", _OF_A_NIC)):
        found = kept.get(key, [])
        found = found if isinstance(found, list) else [found]
        kept[key] = [{one: each.get(one) for one in wanted} for each in found]
    context = dict(kept.get("CONTEXT") or {})
    kept["CONTEXT"] = {key: context[key] for key in context if not key.startswith(("ETH", "VMID", "DISK_ID"))}
    graphics = dict(kept.get("GRAPHICS") or {})
    kept["GRAPHICS"] = {key: graphics[key] for key in graphics if key not in ("PORT", "PREVIOUS_PORT")}
    return dict(json.loads(json.dumps(kept, default=dict)))


@pytest.mark.parametrize("station", ["move", "failback"])
@pytest.mark.parametrize("name", ["evil", "good"])
def test_the_vm_is_what_it_was(story: Story, station: str, name: str) -> None:
    before, now = story.at["before"][name], story.at[station][name]
    assert plain(now.TEMPLATE) == plain(before.TEMPLATE)
    assert (now.UNAME, now.GNAME, now.NAME) == (before.UNAME, before.GNAME, before.NAME)
    assert (now.STATE, now.LCM_STATE) == (3, 3)


@pytest.mark.parametrize("station", ["move", "failback"])
def test_no_secret_of_oneadmins_is_anywhere_on_his_vm(story: Story, station: str) -> None:
    text = etree.tostring(story.at[station]["evil"].to_etree()).decode() if hasattr(
        story.at[station]["evil"], "to_etree") else json.dumps(
        [dict(story.at[station]["evil"].TEMPLATE), dict(story.at[station]["evil"].USER_TEMPLATE)], default=dict)
    for secret in filter(None, story.secrets):
        assert secret not in text


@pytest.mark.parametrize("station", ["move", "failback"])
def test_his_attributes_are_his_attributes(story: Story, station: str) -> None:
    before, now = (dict(story.at[each]["evil"].USER_TEMPLATE) for each in ("before", station))
    mine = ("DR_", "SCHED_", "SERVICE_ID", "ROLE_NAME", "ERROR", "ONEDR_")
    assert {key: str(value) for key, value in now.items() if not key.startswith(mine)} == {
        key: str(value) for key, value in before.items() if not key.startswith(mine)}


def test_a_plain_user_may_not_write_the_marks(story: Story) -> None:
    marks = {name for name in story.refused if name.startswith(("DR_", "dr_"))}
    assert {"DR_ORIGIN", "dr_origin", "DR_DRILL", "DR_RUN_TOKEN", "DR_SNAPSHOT_CARRIER", "DR_STATE"} <= marks
    print(f"refused: {sorted(story.refused)}\nwritten: {sorted(story.wrote)}")


def test_nothing_acted_on_his_text(story: Story) -> None:
    assert all(letter.isprintable() or letter == "\n" for letter in story.logs)
    assert "[prod] [bold]db @me %s" in story.logs
