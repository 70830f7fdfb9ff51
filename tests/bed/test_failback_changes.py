"""Failback follows what was changed at the other site: disks, NICs, attributes, VMs and images that are no more."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from sandbox.cloud import NETWORK, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


HASH = "$6$salt$of.a/password"
FAR = 4000000000  # when a scheduled action is due
LIMIT_S = 180  # of every wait; other beds may be at work on this machine


@dataclass
class Story:
    """Ids at site A by name; what failback said."""

    sites: Sites
    images: dict[str, int] = field(default_factory=dict)
    vms: dict[str, int] = field(default_factory=dict)
    refused: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    clone: str = ""
    away: int = 0  # VM db at site B
    lock_there: str = ""

    def vm(self, name: str) -> Any:
        return self.sites.a.api.vm.info(self.vms[name])

    @property
    def warnings(self) -> list[str]:
        return [text for texts in self.events[-1]["warnings"].values() for text in texts]


def vectors(template: Any, key: str) -> list[Any]:
    found = template.get(key, [])
    return found if isinstance(found, list) else [found]


def sources(vm: Any) -> list[str]:
    return [disk["SOURCE"].partition("/")[2] for disk in vectors(vm.TEMPLATE, "DISK")]


def ids(cloud: Cloud, pool: str) -> dict[str, int]:
    if pool == "vm":
        return {vm.NAME: vm.ID for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    return {image.NAME: image.ID for image in cloud.api.imagepool.info(-2, -1, -1).IMAGE}


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = sites.a, sites.b
    w.introduce(a, b)
    w.introduce(b, a)
    told = Story(sites)
    for cloud in (a, b):
        for name, address in (("lan2", "198.51.100.10"), ("lan3", "203.0.113.10")):
            text = f'NAME={name}\nVN_MAD=dummy\nBRIDGE=br2\nAR=[TYPE=IP4,IP="{address}",SIZE=20]\n'
            cloud.api.vn.allocate(text, -1)
    b.api.secgroup.allocate("NAME=other\nRULE=[PROTOCOL=ALL,RULE_TYPE=OUTBOUND]\n")  # so that ids differ
    for cloud in (a, b):
        cloud.api.secgroup.allocate("NAME=strict\nRULE=[PROTOCOL=TCP,RULE_TYPE=INBOUND,RANGE=22]\n")
    a.api.user.allocate("dora", "password-of-dora", "core", [])
    for name in ("db-disk", "dead-disk", "extra", "doomed", "spare"):
        told.images[name] = w.create_image(a, name, wait=False)
    told.images["base"] = w.create_image(a, "base", persistent=False, wait=False)
    for image in told.images.values():
        a.wait_image(image)
    more = f'NIC=[NETWORK="{NETWORK}"]\nNIC=[NETWORK=lan3]\nNOTE="as it was"\nOLD="taken off there"\n'
    more += 'WAS="$6$as-it-was"\nCONTEXT=[KEPT="$WAS",GONE="taken off there",NETWORK=YES]\n'
    more += "".join(f"SCHED_ACTION=[ACTION={name},TIME={FAR}]\n" for name in ("terminate", "reboot"))
    told.vms["db"] = w.create_vm(a, "db", [told.images["db-disk"], told.images["base"]], more, wait=False)
    told.vms["dead"] = w.create_vm(a, "dead", [told.images["dead-disk"]], wait=False)
    for vm in told.vms.values():
        a.wait_vm(vm)
    a.api.vm.chown(told.vms["db"], next(user.ID for user in a.api.userpool.info().USER if user.NAME == "dora"), -1)
    a.api.vm.lock(told.vms["db"], 2, False)
    for name in ("extra", "spare"):  # one is plugged in there, one renamed
        a.api.image.lock(told.images[name], 1, False)
    with w.open_pool(b) as there:
        for vm in told.vms.values():
            w.wait_recorded(a, vm, there)
    told.clone = w.vm_disks(a, told.vms["db"])[1]
    w.wait_complete(a, [*(w.rbd_name(a, image) for image in told.images.values()), told.clone])
    moved = b.run("onedr", "move", str(b.datastore_id), "--yes", check=False)
    assert moved.returncode == 0, moved.stdout[-3000:] + moved.stderr
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
    change(told)
    done = a.run("onedr", "failback", str(a.datastore_id), "--yes", "--json", check=False)
    told.events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    print(f"\nhome in {told.events[-1]['seconds']} s")
    yield told


def change(told: Story) -> None:
    """At site B."""
    a, b = told.sites.a, told.sites.b
    vms, images = ids(b, "vm"), ids(b, "image")
    db = told.away = vms["db"]
    b.wait_vm(db)
    told.lock_there = str(b.api.vm.info(db).LOCK.LOCKED)
    b.api.vm.unlock(db)
    w.wait_writing(b, db)  # a guest that has not booted lets go of no disk
    b.api.vm.detach(db, 1)
    b.wait_vm(db)
    b.wait_image(images["db-disk-1"])
    b.api.vm.attach(db, f"DISK=[IMAGE_ID={images['extra']},TARGET=vdx]")
    b.wait_vm(db)
    with w.open_pool(a) as here:
        w.wait_recorded(b, db, here)
    told.refused = a.run("onedr", "failback", str(a.datastore_id), "--yes", check=False).stderr
    delete(b, images["db-disk-1"])
    fresh = w.create_image(b, "fresh")
    b.api.vm.attach(db, f"DISK=[IMAGE_ID={fresh}]")
    b.wait_vm(db)
    b.api.vm.attachnic(db, 'NIC=[NETWORK="lan2"]')
    b.wait_vm(db)
    b.api.vm.detachnic(db, 0)
    b.wait_vm(db)
    change_lan3(b, db)
    b.api.vm.diskresize(db, 0, str(w.IMAGE_MIB + 16))
    b.wait_vm(db)
    kept = {key: value for key, value in b.api.vm.info(db).USER_TEMPLATE.items() if key != "OLD"}
    b.api.vm.update(db, "".join(f'{key}="{value}"\n' for key, value in {**kept, "NOTE": "changed there"}.items()), 0)
    change_settings(b, db)
    b.api.vm.rename(db, "db-renamed")
    b.api.vm.action("terminate-hard", vms["dead"])
    b.wait_vm(vms["dead"], "DONE")
    b.api.image.rename(images["spare"], "spare-renamed")
    b.api.image.update(images["spare"], 'NOTE="spare, changed"', 1)
    delete(b, images["doomed"])
    b.api.vm.lock(db, 3, False)
    b.run("onedr", "reconcile", str(b.datastore_id))
    with w.open_pool(a) as here:
        w.wait_recorded(b, db, here)
        gone = {told.clone, w.rbd_name(a, told.images["doomed"])}
        until("what was deleted to be gone", lambda: not gone & set(here.names()), LIMIT_S)
        spare = w.rbd_name(a, told.images["spare"])
        until("the renamed image's record", lambda: named(here, spare) == "spare-renamed", LIMIT_S)
        dead = w.rbd_name(a, told.images["dead-disk"])
        until("the terminated VM's record to go", lambda: w.vm_record(here, dead) is None, LIMIT_S)
    w.wait_complete(b, [w.rbd_name(b, fresh)])


def change_lan3(b: Cloud, db: int) -> None:
    """Of the NIC that stays: another security group, and an alias; and of what is scheduled."""
    (kept,) = [nic for nic in vectors(b.api.vm.info(db).TEMPLATE, "NIC") if nic["NETWORK"] == "lan3"]
    strict = next(group.ID for group in b.api.secgrouppool.info(-2, -1, -1).SECURITY_GROUP if group.NAME == "strict")
    b.api.vm.attachnic(db, f'NIC_ALIAS=[NETWORK=lan3,PARENT="{kept["NAME"]}"]')
    b.wait_vm(db)
    (alias,) = vectors(b.api.vm.info(db).TEMPLATE, "NIC_ALIAS")
    for nic in (kept, alias):
        b.api.vm.attachsg(db, int(nic["NIC_ID"]), strict)
        b.api.vm.detachsg(db, int(nic["NIC_ID"]), 0)
    planned = {each["ACTION"]: int(each["ID"]) for each in vectors(b.api.vm.info(db).TEMPLATE, "SCHED_ACTION")}
    b.api.vm.scheddelete(db, planned["terminate"])
    b.api.vm.schedadd(db, f"SCHED_ACTION=[ACTION=poweroff,TIME={FAR}]")


def change_settings(b: Cloud, db: int) -> None:
    """Some are set, one of them with a `$`, and one is taken off."""
    (nic,) = [nic for nic in vectors(b.api.vm.info(db).TEMPLATE, "NIC") if nic["NETWORK"] == "lan3"]
    of_7_4 = "MIGRATE_COMPRESSED=YES"  # oned of 6.10 does not take it
    b.api.vm.updateconf(db, f'FEATURES=[ACPI=NO,{of_7_4}]\nOS=[BOOT="nic{nic["NIC_ID"]},disk0"]\n', 1)
    b.wait_vm(db)
    b.api.vm.update(db, f'HASH="{HASH}"\n', 1)
    b.api.vm.updateconf(db, 'CONTEXT=[LOGIN="$HASH",NEW="there, \'\'quoted\'\'"]\n', 1)
    b.wait_vm(db)
    own = b.api.vm.info(db).TEMPLATE
    context = {key: value for key, value in own["CONTEXT"].items() if key != "GONE"}
    assert context["LOGIN"] == HASH
    whole = (vector("CONTEXT", context), *(vector(key, own[key]) for key in ("OS", "FEATURES")))
    b.api.vm.updateconf(db, f"<TEMPLATE>{''.join(whole)}</TEMPLATE>", 0)
    b.wait_vm(db)


def vector(name: str, values: dict[str, str]) -> str:
    inner = "".join(f"<{key}><![CDATA[{value}]]></{key}>" for key, value in values.items() if value)
    return f"<{name}>{inner}</{name}>"


def delete(cloud: Cloud, image_id: int) -> None:
    """Delete an image taken over from the peer: refused until rbd-mirror there, whose word is up to 30 s old, has a copy."""
    def gone() -> bool:
        # The pool's listing: the deletion may end between two calls.
        state = next((image.STATE for image in cloud.api.imagepool.info(-2, -1, -1).IMAGE if image_id == image.ID), None)
        if state is None:
            return True
        if state == 5:
            cloud.api.image.enable(image_id, True)
        elif state == 1:
            cloud.api.image.delete(image_id)
        return False

    until(f"image {image_id} to be deleted", gone, LIMIT_S, 1)


def named(pool: Any, rbd_name: str) -> str:
    found = w.image_record(pool, rbd_name)
    return found.name if found else ""


def test_a_clone_that_was_unplugged_and_lives_on_there_keeps_everything_there(story: Story) -> None:
    assert f"{story.clone} was unplugged at the other site" in story.refused and "would delete it" in story.refused


def test_disks_plugged_in_and_unplugged_there_are_so_here(story: Story) -> None:
    vm = story.vm("db")
    names = [w.rbd_name(story.sites.a, image) for image in (story.images["db-disk"], story.images["extra"])]
    fresh = w.rbd_name(story.sites.a, ids(story.sites.a, "image")["fresh"])
    assert sorted(w.vm_disks(story.sites.a, vm.ID)) == sorted([*names, fresh])
    assert "vdx" in [disk["TARGET"] for disk in vectors(vm.TEMPLATE, "DISK")]
    assert {disk["IMAGE_ID"] for disk in vectors(vm.TEMPLATE, "DISK")} >= {str(story.images["extra"])}, "its own image object"


def test_a_disk_that_grew_there_is_as_large_here(story: Story) -> None:
    assert vectors(story.vm("db").TEMPLATE, "DISK")[0]["SIZE"] == str(w.IMAGE_MIB + 16)


def test_nics_are_those_of_the_other_site(story: Story) -> None:
    assert [nic["NETWORK"] for nic in vectors(story.vm("db").TEMPLATE, "NIC")] == ["lan3", "lan2"]


def test_an_alias_and_security_groups_are_those_of_the_other_site(story: Story) -> None:
    there, here = (vectors(vm.TEMPLATE, "NIC_ALIAS") for vm in (story.sites.b.api.vm.info(story.away), story.vm("db")))
    (kept,) = [nic for nic in vectors(story.vm("db").TEMPLATE, "NIC") if nic["NETWORK"] == "lan3"]
    assert [(alias["NETWORK"], alias["IP"]) for alias in here] == [("lan3", there[0]["IP"])]
    assert here[0]["PARENT_ID"] == kept["NIC_ID"]
    names = {str(group.ID): group.NAME for group in story.sites.a.api.secgrouppool.info(-2, -1, -1).SECURITY_GROUP}
    for nic in (kept, *here):
        assert [names[each] for each in nic["SECURITY_GROUPS"].split(",")] == ["strict"]


def test_what_is_scheduled_is_what_is_scheduled_there(story: Story) -> None:
    assert sorted(each["ACTION"] for each in vectors(story.vm("db").TEMPLATE, "SCHED_ACTION")) == ["poweroff", "reboot"]


def test_attributes_follow_and_what_was_taken_off_is_gone(story: Story) -> None:
    vm = story.vm("db")
    assert vm.NAME == "db-renamed"
    shown = ("DR_STATE", "DR_RECOVERY_POINT")
    assert {key: value for key, value in vm.USER_TEMPLATE.items() if value and key not in shown} == {
        "NOTE": "changed there", "WAS": "$6$as-it-was", "HASH": HASH}


def test_a_users_lock_goes_along_and_images_that_were_locked_here_are_so_again(story: Story) -> None:
    assert story.lock_there == "2", "it was locked at site B too, and is locked as it was changed there"
    api = story.sites.a.api
    locks = [api.vm.info(story.vms["db"]).LOCK, *(api.image.info(story.images[name]).LOCK for name in ("extra", "spare"))]
    assert [str(lock.LOCKED) for lock in locks] == ["3", "1", "1"]


def test_settings_that_do_not_come_home_are_named_before_and_after(story: Story) -> None:
    plan = next(event for event in story.events if event["event"] == "plan")
    (db,) = [vm for vm in plan["vms"] if vm["name"] == "db-renamed"]
    for texts in (db["warnings"], story.warnings):
        said = [text for each in texts for text in each.split("; ") if "was changed at the other site" in text]
        assert said == ["FEATURES/MIGRATE_COMPRESSED was changed at the other site: it stays as it is here"], texts


def test_settings_that_oned_can_set_are_those_of_the_other_site(story: Story) -> None:
    vm = story.vm("db")
    assert dict(vm.TEMPLATE["FEATURES"]) == {"ACPI": "NO"}
    context = vm.TEMPLATE["CONTEXT"]
    assert {key: context.get(key) for key in ("LOGIN", "NEW", "GONE", "KEPT")} == {
        "LOGIN": HASH, "NEW": "there, ''quoted''", "GONE": None, "KEPT": "$6$as-it-was"}
    (kept,) = [nic for nic in vectors(vm.TEMPLATE, "NIC") if nic["NETWORK"] == "lan3"]
    assert vm.TEMPLATE["OS"]["BOOT"] == f"nic{kept['NIC_ID']},disk0"
    assert {kept["ORDER"], vectors(vm.TEMPLATE, "DISK")[0]["ORDER"]} == {"1", "2"}


def test_an_owner_the_other_site_did_not_have_is_the_owner_here_again(story: Story) -> None:
    assert story.vm("db").UNAME == "dora"


def test_the_vm_runs_under_its_old_id_and_lost_nothing(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    a.wait_vm(story.vms["db"])
    w.wait_writing(a, story.vms["db"])
    before = w.told(b, story.away)[-1]
    first = next(record for record in w.told(a, story.vms["db"]) if record.number > before.number)
    assert first.number == before.number + 1, "it lost records"
    with w.open_pool(a) as here, w.open_pool(b) as there:
        roles = w.primaries(here), w.primaries(there)
    assert all(roles[0].values()) and not any(roles[1].values())


def test_a_vm_terminated_there_stays_locked_and_is_named(story: Story) -> None:
    vm = story.vm("dead")
    assert vm.STATE == 8 and vm.LOCK and not vm.USER_TEMPLATE.get("DR_LOCKED_STATE")
    assert any(f"VM {vm.ID} dead stays locked" in text and f"onevm unlock {vm.ID}" in text for text in story.warnings)


def test_an_image_deleted_there_is_disabled_and_named(story: Story) -> None:
    assert story.sites.a.api.image.info(story.images["doomed"]).STATE == 3
    assert any("doomed was deleted at the other site" in text for text in story.warnings)


def test_an_image_changed_there_is_changed_here(story: Story) -> None:
    found = story.sites.a.api.image.info(story.images["spare"])
    assert (found.NAME, found.TEMPLATE["NOTE"]) == ("spare-renamed", "spare, changed")


def test_nothing_was_made_twice(story: Story) -> None:
    assert sorted(ids(story.sites.a, "vm")) == ["db-renamed", "dead"]
    expected = ["base", "db-disk", "dead-disk", "doomed", "extra", "fresh", "spare-renamed"]
    assert sorted(ids(story.sites.a, "image")) == expected
