"""A planned move: the peer is alive, its VMs stop there and start here, not a byte is lost; what fails is taken back."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.runs.request import Request
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


@dataclass
class Story:
    """Two VMs at site A that write, one switched off; what was known of them before the move."""

    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    disks: dict[str, list[str]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = sites.a, sites.b
    w.introduce(b, a)
    w.introduce(a, b)
    made = Story(sites)
    base = w.create_image(a, "base", persistent=False)
    disk = w.create_image(a, "disk", wait=False)
    idle = w.create_image(a, "idle", wait=False)
    for image in (disk, idle):
        a.wait_image(image)
    made.vms["db"] = w.create_vm(a, "db", [disk], wait=False)
    made.vms["web"] = w.create_vm(a, "web", [base], wait=False)
    made.vms["idle"] = w.create_vm(a, "idle", [idle], wait=False)
    for vm in made.vms.values():
        a.wait_vm(vm)
    a.api.vm.action("poweroff-hard", made.vms["idle"])
    a.wait_vm(made.vms["idle"], "POWEROFF")
    with w.open_pool(b) as there:
        for name, vm in made.vms.items():
            w.wait_recorded(a, vm, there)
            made.disks[name] = w.disks_of(w.wanted_record(a, vm))
    w.wait_complete(a, [disk for disks in made.disks.values() for disk in disks])
    for name in ("db", "web"):
        w.wait_writing(a, made.vms[name])
    yield made


def roles(story: Story) -> tuple[dict[str, bool], dict[str, bool]]:
    with w.open_pool(story.sites.a) as here, w.open_pool(story.sites.b) as there:
        return w.primaries(here), w.primaries(there)


def held(story: Story) -> dict[str, str]:
    return {
        name: str(story.sites.a.api.vm.info(vm).USER_TEMPLATE.get("DR_HELD") or "") for name, vm in story.vms.items()
    }


def test_a_dry_run_says_that_it_is_planned_and_what_stops_there(story: Story) -> None:
    b = story.sites.b
    plan = b.onedr("failover", str(b.datastore_id), "--dry-run")
    assert plan["planned"] and not plan["refusal"] and not plan["left_out"]
    kinds = [step["kind"] for step in plan["steps"]]
    assert sorted(set(kinds), key=kinds.index) == [
        "sync", "stop", "drain", "fence", "promote", "term", "register", "create", "start",
    ]
    assert kinds.count("stop") == 3 and kinds.count("start") == 2
    assert held(story) == {"db": "", "web": "", "idle": ""}


def test_a_vm_that_could_not_come_keeps_everything_where_it_is(story: Story) -> None:
    b = story.sites.b
    host = b.api.hostpool.info().HOST[0].ID
    extra = int(story.sites.a.api.image.allocate("NAME=late\nTYPE=DATABLOCK\nSIZE=32\nPERSISTENT=YES\nDR_PROTECT=NO\n",
                                                 story.sites.a.datastore_id))
    story.sites.a.wait_image(extra)
    story.sites.a.api.vm.attach(story.vms["db"], f"DISK=[IMAGE_ID={extra}]")
    story.sites.a.wait_vm(story.vms["db"])
    with w.open_pool(b) as there:
        w.wait_recorded(story.sites.a, story.vms["db"], there)
    done = b.run("onedr", "failover", str(b.datastore_id), "--yes", check=False)
    assert done.returncode == 2 and "Not everything could come here" in done.stderr, done.stderr
    assert held(story) == {"db": "", "web": "", "idle": ""} and all(roles(story)[0].values())
    number = next(disk["DISK_ID"] for disk in story.sites.a.api.vm.info(story.vms["db"]).TEMPLATE["DISK"]
                  if disk.get("IMAGE_ID") == str(extra))
    story.sites.a.api.vm.detach(story.vms["db"], int(number))
    story.sites.a.wait_vm(story.vms["db"])
    story.sites.a.wait_image(extra)
    story.sites.a.api.image.delete(extra)
    with w.open_pool(b) as there:
        w.wait_recorded(story.sites.a, story.vms["db"], there)
    assert b.api.host.info(host).STATE == 2


def test_a_move_that_fails_before_the_first_promotion_is_taken_back(story: Story) -> None:
    """The last writes cannot arrive: rbd-mirror at site B ends once the VMs stop."""
    if story.sites.real:
        pytest.skip("freezing rbd-mirror is the bed's own doing")
    a, b = story.sites.a, story.sites.b
    process = w.start_action(b, Request("failover"))
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["kind"] == "sync" and not story.events:
            story.sites.bed.stop("site-b", "mirror")
            story.events.append(event)
        elif event["event"] == "verdict":
            story.events.append(event)
    process.wait(60)
    story.sites.bed.start("site-b", "mirror")
    assert "taken back" in story.events[-1]["message"], story.events
    assert held(story) == {"db": "", "web": "", "idle": ""}
    here, there = roles(story)
    assert all(here.values()) and not any(there.values())
    for name in ("db", "web"):
        a.wait_vm(story.vms[name])
        w.wait_writing(a, story.vms[name])
    assert a.api.vm.info(story.vms["idle"]).STATE == 8
    assert not [vm for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM]


def test_the_move_loses_nothing(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    done = b.run("onedr", "failover", str(b.datastore_id), "--yes", "--json", check=False)
    story.events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    verdict = story.events[-1]
    print(f"\nmoved in {verdict['seconds']} s: {[(e['kind'], e['target'], e['seconds']) for e in story.events if 'kind' in e]}")
    here, there = roles(story)
    moved = {disk for disks in story.disks.values() for disk in disks}
    assert not any(here[disk] for disk in moved) and all(there[disk] for disk in moved)
    assert held(story) == {"db": "ACTIVE", "web": "ACTIVE", "idle": "POWEROFF"}
    told = {name: w.told(a, story.vms[name])[-1] for name in ("db", "web")}
    for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        found = b.api.vm.info(vm.ID)
        if vm.NAME == "idle":
            assert found.STATE == 2  # on hold, as it did not run there
            continue
        b.wait_vm(vm.ID)
        w.wait_writing(b, vm.ID)
        first = w.told(b, vm.ID)[0]
        assert first.number == told[vm.NAME].number + 1, f"{vm.NAME} lost records"


def test_a_vm_left_behind_cannot_be_started(story: Story) -> None:
    a = story.sites.a
    done = a.run("onevm", "resume", str(story.vms["db"]), check=False)
    assert a.api.vm.info(story.vms["db"]).STATE == 8, done.stdout + done.stderr


def test_the_copy_goes_the_other_way_now(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", 120)
    until("site A to stand by", lambda: w.status(a)["state"] == "STANDBY", 60)
    for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        if vm.NAME != "idle":
            b.api.vm.action("poweroff-hard", vm.ID)
            b.wait_vm(vm.ID, "POWEROFF")
    for name in ("db", "web"):
        disk = story.disks[name][0]
        until(f"{disk} to be equal", lambda disk=disk: w.digest(a, disk) == w.digest(b, disk), 60, 0.5)


def test_the_vms_come_home_under_their_old_ids_and_lose_nothing(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    away = {vm.NAME: vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    for name in ("db", "web"):
        b.api.vm.action("resume", away[name])
        b.wait_vm(away[name])
        w.wait_writing(b, away[name])
    b.api.vm.update(away["db"], 'NOTE="changed there"\nDR_PRIORITY=1', 1)
    created = w.create_vm(b, "new", [w.create_image(b, "new-disk")])
    with w.open_pool(a) as here:
        for vm in (*away.values(), created):
            w.wait_recorded(b, vm, here)
    w.wait_complete(b, [disk for disks in story.disks.values() for disk in disks] + w.disks_of(w.wanted_record(b, created)))
    w.wait_writing(b, created)
    done = a.run("onedr", "failback", str(a.datastore_id), "--yes", "--json", check=False)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    print(f"\nhome in {events[-1]['seconds']} s: {[(e['kind'], e['target'], e['seconds']) for e in events if 'kind' in e]}")
    told = {name: w.told(b, vm)[-1] for name, vm in {**away, "new": created}.items() if name != "idle"}
    for name in ("db", "web"):
        a.wait_vm(story.vms[name])
        w.wait_writing(a, story.vms[name])
        first = next(record for record in w.told(a, story.vms[name]) if record.number > told[name].number)
        assert first.number == told[name].number + 1, f"{name} lost records"
    assert a.api.vm.info(story.vms["idle"]).STATE == 8 and held(story) == {"db": "", "web": "", "idle": ""}
    assert a.api.vm.info(story.vms["db"]).USER_TEMPLATE["NOTE"] == "changed there"
    names = [vm.NAME for vm in a.api.vmpool.infoextended(-2, -1, -1, -1).VM]
    assert sorted(names) == ["db", "idle", "new", "web"]
    assert sorted(image.NAME for image in a.api.imagepool.info(-2, -1, -1).IMAGE) == ["base", "disk", "idle", "new-disk"]
    here, there = roles(story)
    assert all(here.values()) and not any(there.values())


def test_both_datastores_are_as_before(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    a.wait_datastore(a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", 120)
    until("site B to stand by", lambda: w.status(b)["state"] == "STANDBY", 60)


@pytest.mark.long
def test_the_way_there_and_back_can_be_gone_again(story: Story) -> None:
    """Now both sites have objects of every VM; none is made anew."""
    a, b = story.sites.a, story.sites.b
    before = [sorted(vm.ID for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM) for cloud in (a, b)]
    w.wait_complete(a, list(roles(story)[0]))
    for cloud in (b, a):
        done = cloud.run("onedr", "failback", str(cloud.datastore_id), "--yes", "--json", check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        other = a if cloud is b else b
        w.wait_complete(cloud, list(roles(story)[0]), 120)
        for name in ("db", "web", "new"):
            mine = next(vm.ID for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM if name == vm.NAME)
            theirs = next(vm.ID for vm in other.api.vmpool.infoextended(-2, -1, -1, -1).VM if name == vm.NAME)
            cloud.wait_vm(mine)
            assert other.api.vm.info(theirs).STATE == 8
    after = [sorted(vm.ID for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM) for cloud in (a, b)]
    assert after == before
