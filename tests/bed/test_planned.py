"""A planned move: the peer is alive, its VMs stop there and start here, not a byte is lost; a failed one is undone.

One story. Each of its steps is a fixture that stands on the step before and records what it saw; a test takes
the step that it looks at, so any test runs alone.
"""
from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import dataclass, field
from subprocess import CompletedProcess
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from production import Production, produce

from onedr.runs.request import Request
from sandbox.cloud import Cloud
from sandbox.guest.ledger import Record
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

WRITERS = ("db", "web")
ACTIVE, POWEROFF, HOLD, MONITORED = 3, 8, 2, 2  # states of VMs, of a host
Roles = tuple[dict[str, bool], dict[str, bool]]  # at site A, at site B
Sums = tuple[dict[str, str], dict[str, str]]
AS_BEFORE = {"db": "", "web": "", "idle": ""}  # no VM is held


@dataclass
class Seen:
    """What a step's command said, and both sites right after it."""

    done: CompletedProcess[str] | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)  # by VM of site A
    roles: Roles = field(default_factory=lambda: ({}, {}))
    here: dict[str, int] = field(default_factory=dict)  # states of site A's VMs
    there: dict[str, int] = field(default_factory=dict)  # of site B's
    host: int = 0  # state of site B's host
    lost: dict[str, int] = field(default_factory=dict)  # records, by VM
    images: list[str] = field(default_factory=list)  # names of site A's images
    resumed: int = 0  # state of a VM that was left behind, after `onevm resume`
    asked: str = ""  # what `onedr cancel` said
    runs: list[dict[str, Any]] = field(default_factory=list)  # the newest run, at moments of a step

    @property
    def complaint(self) -> str:
        """All that the command said, for a test that wanted it to end well."""
        return "" if self.done is None else self.done.stdout[-3000:] + self.done.stderr


def look(world: Production, done: CompletedProcess[str] | None = None) -> Seen:
    """Both sites as they are after a command."""
    a, b = world.sites.a, world.sites.b
    seen = Seen(done)
    if done is not None:
        seen.events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = {name: a.api.vm.info(vm) for name, vm in world.vms.items()}
    seen.held = {name: str(vm.USER_TEMPLATE.get("DR_LOCKED_STATE") or "") for name, vm in found.items()}
    seen.here, seen.there = states(a), states(b)
    seen.images = sorted(image.NAME for image in a.api.imagepool.info(-2, -1, -1).IMAGE)
    seen.host = b.api.hostpool.info().HOST[0].STATE
    with w.open_pool(a) as here, w.open_pool(b) as there:
        seen.roles = w.primaries(here), w.primaries(there)
    return seen


def vms_of(cloud: Cloud) -> dict[str, int]:
    return {vm.NAME: vm.ID for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM}


def states(cloud: Cloud) -> dict[str, int]:
    return {vm.NAME: vm.STATE for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM}


def timings(events: list[dict[str, Any]]) -> str:
    steps = [(event["kind"], event["target"], event["seconds"]) for event in events if event["event"] == "step"]
    return f"{events[-1].get('seconds')} s: {steps}"


@pytest.fixture(scope="module")
def world(sites: Sites) -> Production:
    w.introduce(sites.b, sites.a)
    w.introduce(sites.a, sites.b)
    return produce(sites)


@pytest.fixture(scope="module")
def shown(world: Production) -> Seen:
    """A dry run."""
    b = world.sites.b
    plan = b.onedr("move", str(b.datastore_id), "--dry-run")
    seen = look(world)
    seen.events = [plan]
    return seen


@pytest.fixture(scope="module")
def hindered(world: Production, shown: Seen) -> Seen:
    """A move while a VM has a disk that site B does not get; the disk is taken off again."""
    a, b = world.sites.a, world.sites.b
    text = "NAME=late\nTYPE=DATABLOCK\nSIZE=32\nPERSISTENT=YES\nDR_PROTECT=NO\n"
    extra = int(a.api.image.allocate(text, a.datastore_id))
    a.wait_image(extra)
    a.api.vm.attach(world.vms["db"], f"DISK=[IMAGE_ID={extra}]")
    a.wait_vm(world.vms["db"])
    with w.open_pool(b) as there:
        w.wait_recorded(a, world.vms["db"], there)
    seen = look(world, b.run("onedr", "move", str(b.datastore_id), "--yes", check=False))
    disks = a.api.vm.info(world.vms["db"]).TEMPLATE["DISK"]
    number = next(int(disk["DISK_ID"]) for disk in disks if disk.get("IMAGE_ID") == str(extra))
    a.api.vm.detach(world.vms["db"], number)
    a.wait_vm(world.vms["db"])
    a.wait_image(extra)
    a.api.image.delete(extra)
    with w.open_pool(b) as there:
        w.wait_recorded(a, world.vms["db"], there)
    return seen


@pytest.fixture(scope="module")
def cancelled(world: Production, hindered: Seen) -> Seen:
    """A move whose caller presses Ctrl-C and which is then cancelled, both before its last writes have arrived."""
    sites, b = world.sites, world.sites.b
    if sites.real:
        return look(world)  # stopping rbd-mirror is the bed's own doing
    argv = [*b.prefix, "onedr", "move", str(b.datastore_id), "--yes", "--json"]
    caller = subprocess.Popen(
        argv, env={**os.environ, **b.process_environment()}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert caller.stdout is not None
    for line in caller.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["kind"] == "sync":
            break
    sites.bed.stop("site-b", "mirror")  # so that it cannot promote before it was asked
    try:
        caller.send_signal(signal.SIGINT)
        out, complaint = caller.communicate(timeout=60)
        left = w.last_run(b)
        asked = b.run("onedr", "cancel", str(b.datastore_id)).stdout
    finally:
        sites.bed.start("site-b", "mirror")
    until("the move to end", lambda: w.last_run(b)["result"] != "RUNNING", 180)
    seen = look(world, CompletedProcess(argv, caller.returncode, out, complaint))
    seen.asked, seen.runs = asked, [left, w.last_run(b)]
    for name in WRITERS:
        sites.a.wait_vm(world.vms[name])
        w.wait_writing(sites.a, world.vms[name])
    return seen


@pytest.fixture(scope="module")
def taken_back(world: Production, cancelled: Seen) -> Seen:
    """A move whose last writes cannot arrive: rbd-mirror at site B ends once the VMs stop."""
    sites = world.sites
    if sites.real:
        return look(world)  # stopping rbd-mirror is the bed's own doing
    child = w.start_action(sites.b, Request("move"))
    assert child.stdout is not None
    events, stopped = [], False
    for line in child.stdout:
        events.append(json.loads(line))
        if not stopped and events[-1]["event"] == "step" and events[-1]["kind"] == "sync":
            sites.bed.stop("site-b", "mirror")
            stopped = True
    child.wait(60)
    sites.bed.start("site-b", "mirror")
    assert stopped, events
    seen = look(world)
    seen.events = events
    for name in WRITERS:
        sites.a.wait_vm(world.vms[name])
        w.wait_writing(sites.a, world.vms[name])
    return seen


@pytest.fixture(scope="module")
def moved(world: Production, taken_back: Seen) -> Seen:
    """The move; all VMs at site B that are to run write."""
    a, b = world.sites.a, world.sites.b
    seen = look(world, b.run("onedr", "move", str(b.datastore_id), "--yes", "--json", check=False))
    assert seen.done is not None and seen.done.returncode == 0, seen.complaint
    print(f"\nmoved in {timings(seen.events)}")
    there = vms_of(b)
    for name in WRITERS:
        b.wait_vm(there[name])
        w.wait_writing(b, there[name])
        seen.lost[name] = w.told(b, there[name])[0].number - w.told(a, world.vms[name])[-1].number - 1
    a.run("onevm", "resume", str(world.vms["db"]), check=False)
    seen.resumed = a.api.vm.info(world.vms["db"]).STATE
    return seen


@pytest.fixture(scope="module")
def followed(world: Production, moved: Seen) -> Sums:
    """The copies go the other way; VMs at site B are stopped, to compare them, and run again."""
    a, b = world.sites.a, world.sites.b
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", 120)
    until("site A to stand by", lambda: w.status(a)["state"] == "STANDBY", 60)
    there = vms_of(b)
    for name in WRITERS:
        b.api.vm.action("poweroff-hard", there[name])
    for name in WRITERS:
        b.wait_vm(there[name], "POWEROFF")
    sums = w.wait_equal(a, b, [world.disks[name][0] for name in WRITERS])
    for name in WRITERS:
        b.api.vm.action("resume", there[name])
    for name in WRITERS:
        b.wait_vm(there[name])
        w.wait_writing(b, there[name])
    return sums


@pytest.fixture(scope="module")
def home(world: Production, followed: Sums) -> Seen:
    """A VM is changed and one is made at site B, and all goes home."""
    a, b = world.sites.a, world.sites.b
    away = vms_of(b)
    b.api.vm.update(away["db"], 'NOTE="changed there"\nDR_PRIORITY=1', 1)
    away["new"] = w.create_vm(b, "new", [w.create_image(b, "new-disk")])
    with w.open_pool(a) as here:
        for vm in away.values():
            w.wait_recorded(b, vm, here)
    w.wait_complete(b, world.all_disks + w.vm_disks(b, away["new"]))
    w.wait_writing(b, away["new"])
    seen = look(world, a.run("onedr", "failback", str(a.datastore_id), "--yes", "--json", check=False))
    assert seen.done is not None and seen.done.returncode == 0, seen.complaint
    print(f"\nhome in {timings(seen.events)}")
    for name in WRITERS:
        last = w.told(b, away[name])[-1]
        a.wait_vm(world.vms[name])
        w.wait_writing(a, world.vms[name])
        seen.lost[name] = lost_after(last, w.told(a, world.vms[name]))
    return seen


def lost_after(last: Record, told: list[Record]) -> int:
    """How many records a guest that went on after `last` left out."""
    return next(record for record in told if record.number > last.number).number - last.number - 1


def all_at_a(roles: Roles) -> bool:
    return all(roles[0].values()) and not any(roles[1].values())


def test_a_dry_run_says_that_it_is_planned_and_what_stops_there(shown: Seen) -> None:
    (plan,) = shown.events
    assert plan["planned"] and not plan["refusal"] and not plan["left_out"]
    kinds = [step["kind"] for step in plan["steps"]]
    assert sorted(set(kinds), key=kinds.index) == [
        "sync", "stop", "drain", "fence", "promote", "term", "register", "create", "start",
    ]
    assert kinds.count("stop") == 3 and kinds.count("start") == 2
    assert shown.held == AS_BEFORE


def test_a_vm_that_could_not_come_keeps_everything_where_it_is(hindered: Seen) -> None:
    assert hindered.done is not None and hindered.done.returncode == 2, hindered.complaint
    assert "Some VMs cannot start here" in hindered.done.stderr
    assert hindered.held == AS_BEFORE and all(hindered.roles[0].values())
    assert hindered.host == MONITORED


def test_the_caller_may_leave_and_the_run_goes_on(world: Production, cancelled: Seen) -> None:
    if world.sites.real:
        pytest.skip("stopping rbd-mirror is the bed's own doing")
    assert cancelled.done is not None and cancelled.done.returncode == 8, cancelled.complaint
    assert "goes on without this command" in cancelled.done.stderr and "onedr cancel" in cancelled.done.stderr
    assert cancelled.runs[0]["result"] == "RUNNING" and cancelled.runs[0]["verb"] == "move"


def test_a_cancelled_move_is_rolled_back(world: Production, cancelled: Seen) -> None:
    if world.sites.real:
        pytest.skip("stopping rbd-mirror is the bed's own doing")
    assert "Asked to stop" in cancelled.asked
    assert cancelled.runs[1]["run"] == cancelled.runs[0]["run"] and cancelled.runs[1]["result"] == "ROLLED_BACK"
    assert "asked the move to stop" in cancelled.runs[1]["message"], cancelled.runs[1]["message"]
    assert cancelled.held == AS_BEFORE and all_at_a(cancelled.roles)
    assert cancelled.here["idle"] == POWEROFF and cancelled.there == {}


def test_a_move_that_fails_before_the_first_promotion_is_taken_back(
    world: Production, taken_back: Seen,
) -> None:
    if world.sites.real:
        pytest.skip("stopping rbd-mirror is the bed's own doing")
    assert "rolled back" in taken_back.events[-1]["message"], taken_back.events
    assert taken_back.held == AS_BEFORE and all_at_a(taken_back.roles)
    assert taken_back.here["idle"] == POWEROFF and taken_back.there == {}


def test_the_move_loses_nothing(world: Production, moved: Seen) -> None:
    here, there = moved.roles
    assert not any(here[disk] for disk in world.all_disks) and all(there[disk] for disk in world.all_disks)
    assert moved.held == {"db": "ACTIVE", "web": "ACTIVE", "idle": "POWEROFF"}
    assert moved.lost == {"db": 0, "web": 0}
    assert sorted(moved.there) == ["db", "idle", "web"] and moved.there["idle"] == HOLD


def test_a_vm_left_behind_cannot_be_started(moved: Seen) -> None:
    assert moved.resumed == POWEROFF


def test_the_copy_goes_the_other_way_now(followed: Sums) -> None:
    at_a, at_b = followed
    assert at_a == at_b and len(at_a) == 2


def test_the_vms_come_home_under_their_old_ids_and_lose_nothing(world: Production, home: Seen) -> None:
    assert home.lost == {"db": 0, "web": 0}
    assert home.here["idle"] == POWEROFF and home.held == AS_BEFORE
    assert world.sites.a.api.vm.info(world.vms["db"]).USER_TEMPLATE["NOTE"] == "changed there"
    assert sorted(home.here) == ["db", "idle", "new", "web"]
    assert home.images == ["base", "db-disk", "idle-disk", "new-disk"]
    assert all_at_a(home.roles)


def test_both_datastores_are_as_before(world: Production, home: Seen) -> None:
    a, b = world.sites.a, world.sites.b
    a.wait_datastore(a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", 120)
    until("site B to stand by", lambda: w.status(b)["state"] == "STANDBY", 60)


@pytest.mark.long
def test_the_way_there_and_back_can_be_gone_again(world: Production, home: Seen) -> None:
    """Now both sites have objects of every VM; none is made anew."""
    a, b = world.sites.a, world.sites.b
    before = [sorted(vms_of(cloud).values()) for cloud in (a, b)]
    disks = list(look(world).roles[0])
    w.wait_complete(a, disks)
    for cloud, other in ((b, a), (a, b)):
        done = cloud.run("onedr", "failback", str(cloud.datastore_id), "--yes", "--json", check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        w.wait_complete(cloud, disks, 120)
        for name in ("db", "web", "new"):
            cloud.wait_vm(vms_of(cloud)[name])
            assert other.api.vm.info(vms_of(other)[name]).STATE == POWEROFF
    assert [sorted(vms_of(cloud).values()) for cloud in (a, b)] == before
