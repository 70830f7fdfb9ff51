"""Site A dies with writes that never left it, site B takes over, site A comes back: nothing of it is believed.

Nothing of it is lost either; it becomes the standby again, and then everything goes home.

One story. Each of its steps is a fixture that stands on the step before and records what it saw; a test takes
the step that it looks at, so any test runs alone.
"""
from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import rbd
import workload as w
from alerts import firing_now
from production import Production, produce

from onedr.replication import preserved_copies
from onedr.runs import journal
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

LIMIT_S = 180
WRITERS = ("db", "web")
POWEROFF = 8  # state of a VM
WEEK_S = 7 * 86400
Sums = tuple[dict[str, str], dict[str, str]]  # digests by image, at site A and at site B


@dataclass
class Lost:
    """Three VMs of site A. `moved`: every image that site B took over; `late`: one that never reached it."""

    production: Production
    moved: list[str]
    late: str = ""
    divergent: dict[str, str] = field(default_factory=dict)  # digests at site A when it died

    @property
    def a(self) -> Cloud:
        return self.production.sites.a

    @property
    def b(self) -> Cloud:
        return self.production.sites.b

    @property
    def vms(self) -> dict[str, int]:
        return self.production.vms

    def disk(self, name: str) -> str:
        """The one disk of a VM."""
        return self.production.disks[name][0]


@dataclass(frozen=True)
class Told:
    """What `onedr VERB DATASTORE … --json` said."""

    code: int
    events: list[dict[str, Any]]
    complaint: str


def onedr(cloud: Cloud, *argv: str) -> Told:
    done = cloud.run("onedr", argv[0], str(cloud.datastore_id), *argv[1:], "--json", check=False)
    return Told(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


def done_well(told: Told) -> Told:
    assert told.code == 0, (told.events[-1:], told.complaint)
    return told


def roles(cloud: Cloud) -> dict[str, bool]:
    with w.open_pool(cloud) as pool:
        return w.primaries(pool)


def kept(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """Kept copies at a site by the image that each is of."""
    found = json.loads(cloud.run("onedr", "kept", str(cloud.datastore_id), "--json").stdout)
    return {each["image"]: each for each in found}


def vms_at(cloud: Cloud) -> dict[str, int]:
    return {vm.NAME: vm.ID for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM}


def replay(cloud: Cloud, name: str) -> None:
    """Let Ceph write what is in the journal only, as the next writer's lock does: no reader sees that."""
    with w.open_pool(cloud) as pool, pool.image(name) as image:
        image.write(b"", 0)


@pytest.fixture(scope="module")
def lost(sites: Sites) -> Lost:
    """Nothing reaches site B any more, guests at site A write on, an image is made; A dies, B takes over."""
    sites.need_a_back()
    w.introduce(sites.b, sites.a)
    w.introduce(sites.a, sites.b)
    made = produce(sites, more={"db": "DR_PRIORITY=1\n"})
    a, b, bed = sites.a, sites.b, sites.bed
    story = Lost(made, sorted({*made.all_disks, w.rbd_name(a, made.images["base"])}))
    bed.stop("site-b", "mirror")
    for name in WRITERS:
        w.wait_writing(a, made.vms[name], 12)
    story.late = w.rbd_name(a, w.create_image(a, "late"))
    sites.kill_a()
    bed.start("site-b", "mirror")
    done_well(onedr(b, "failover", "--confirm", DATASTORE, "--yes"))
    there = vms_at(b)
    for name in WRITERS:
        b.wait_vm(there[name])
        w.wait_writing(b, there[name])
    return story


@dataclass(frozen=True)
class Guarded:
    """What the guard said at the returned site, before its front-end ran; roles at both sites after that."""

    said: dict[str, Any]
    here: dict[str, bool]
    there: dict[str, bool]


@pytest.fixture(scope="module")
def guarded(lost: Lost) -> Guarded:
    """Site A is back, was guarded before its front-end ran, and its front-end runs."""
    sites = lost.production.sites
    sites.return_a(frontend=False)
    for name in lost.moved:
        replay(sites.a, name)
    lost.divergent = {name: w.digest(sites.a, name) for name in lost.moved}
    done = sites.a.run("onedr", "guard", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = Guarded(json.loads(done.stdout), roles(sites.a), roles(sites.b))
    sites.return_a()
    return seen


@dataclass
class Held:
    """The returned site at rest: its VMs, what its datastore shows, what it and the active site say."""

    vms: dict[str, Any] = field(default_factory=dict)
    resumed: dict[str, int] = field(default_factory=dict)  # states after `onevm resume`
    shown: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    written: str = ""  # digest of db's disk after a try to write to it
    active: dict[str, Any] = field(default_factory=dict)  # the active site's status and guard
    reprotect_there: Told | None = None
    failover: Told | None = None
    dry: Told | None = None
    after_dry: dict[str, str] = field(default_factory=dict)
    kept_after_dry: dict[str, Any] = field(default_factory=dict)
    alerts: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def held(lost: Lost, guarded: Guarded) -> Held:
    """Whatever must not be done with a returned site is tried; nothing of it changes anything."""
    a, b, seen = lost.a, lost.b, Held()
    a.onedr("reconcile", str(a.datastore_id), check=False)
    for name, vm in lost.vms.items():
        seen.vms[name] = a.wait_vm(vm, "POWEROFF")
        a.run("onevm", "resume", str(vm), check=False)
        seen.resumed[name] = a.api.vm.info(vm).STATE
    refused = (rbd.ReadOnlyImage, rbd.PermissionError)
    with w.open_pool(a) as pool, pool.image(lost.disk("db")) as image, pytest.raises(refused):
        image.write(b"x", 0)
    seen.written = w.digest(a, lost.disk("db"))
    seen.shown = a.wait_datastore(a.datastore_id, lambda shown: shown.get("DR_STATE") == "RETURNED", LIMIT_S)
    seen.status, seen.alerts = w.status(a), firing_now(a)
    guard = b.run("onedr", "guard", "--json", check=False)
    assert guard.returncode == 0, guard.stdout + guard.stderr
    seen.active = {"state": w.status(b)["state"], **json.loads(guard.stdout)}
    seen.reprotect_there = onedr(b, "reprotect", "--yes")
    seen.failover = onedr(a, "failover", "--confirm", DATASTORE, "--dry-run")
    seen.dry = onedr(a, "reprotect", "--dry-run")
    seen.after_dry = {name: w.digest(a, name) for name in lost.moved}
    seen.kept_after_dry = kept(a)
    return seen


@dataclass
class StandsBy:
    """Site A after its reprotection: states, roles at both sites, and the kept copies with their digests."""

    interrupted: str
    verdict: dict[str, Any]
    here: dict[str, bool]
    there: dict[str, bool]
    kept: dict[str, dict[str, Any]]
    sums: dict[str, str] = field(default_factory=dict)
    failover: dict[str, Any] = field(default_factory=dict)  # of site B's history


@pytest.fixture(scope="module")
def stands_by(lost: Lost, held: Held) -> StandsBy:
    """The first run is killed midway, the second ends."""
    a, b = lost.a, lost.b
    child = w.start_action(a, Request("reprotect"))
    assert child.stdout is not None
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["kind"] == "resync":
            child.kill()
            break
    child.wait()
    interrupted = str(w.status(a)["state"])
    told = done_well(onedr(a, "reprotect", "--yes"))
    took = [(event["kind"], event["target"], event["seconds"]) for event in told.events if event["event"] == "step"]
    print(f"\nreprotected in {told.events[-1]['seconds']} s: {took}")
    seen = StandsBy(interrupted, told.events[-1], roles(a), roles(b), kept(a))
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
    seen.sums = {name: w.digest(a, each["name"]) for name, each in seen.kept.items()}
    runs = json.loads(b.run("onedr", "history", str(b.datastore_id), "--json").stdout).values()
    seen.failover = next(run for run in runs if run["verb"] == "failover" and run.get("vms"))
    return seen


@pytest.fixture(scope="module")
def followed(lost: Lost, stands_by: StandsBy) -> Sums:
    """VMs at site B are stopped, to compare the copies, and run again. Digests at site A and at site B."""
    a, b = lost.a, lost.b
    there = vms_at(b)
    for name in WRITERS:
        b.api.vm.action("poweroff-hard", there[name])
    for name in WRITERS:
        b.wait_vm(there[name], "POWEROFF")
    sums = w.wait_equal(a, b, lost.moved)
    for name in WRITERS:
        b.api.vm.action("resume", there[name])
    for name in WRITERS:
        b.wait_vm(there[name])
        w.wait_writing(b, there[name])
    return sums


@dataclass
class Emptied:
    """Kept copies after one was removed, and after the others' time was over."""

    removed: str
    rest: set[str]
    of_no_copy: int  # exit code of removing what is no kept copy
    in_the_end: dict[str, Any]
    names: list[str]  # of the pool
    trashed: set[str]  # of the pool's trash, for the time being
    restored: dict[str, str]  # digest of one of them that was brought back, by the image it was of
    gone: tuple[list[str], list[str]]  # removed for good before the trash's time was over, and after


@pytest.fixture(scope="module")
def emptied(lost: Lost, followed: Any) -> Emptied:
    a = lost.a
    first, *rest = kept(a).values()
    a.run("onedr", "kept", str(a.datastore_id), "--remove", first["name"])
    left = {each["name"] for each in kept(a).values()}
    other = a.run("onedr", "kept", str(a.datastore_id), "--remove", "one-0", check=False)
    with w.open_pool(a) as pool:
        for each in rest:
            with pool.image(each["name"]) as image:
                values = json.loads(dict(image.metadata_list())["onedr.kept"])
                image.metadata_set("onedr.kept", json.dumps({**values, "expires": values["taken"]}))
        lost.b.onedr("reconcile", str(lost.b.datastore_id))  # its turn says what time it is there
        a.onedr("reconcile", str(a.datastore_id))
        in_the_end, names = kept(a), pool.names()
        waiting = {str(each["name"]): each["id"] for each in pool.rbd.trash_list(pool.io) if each["source"] == "USER"}
        back, *others = rest
        pool.rbd.trash_restore(pool.io, waiting[back["name"]], back["name"])
        restored = {back["image"]: w.digest(a, back["name"])}
        early = preserved_copies.empty_trash(pool, time.time())
        pool.rbd.trash_move(pool.io, back["name"], 0)
        late = preserved_copies.empty_trash(pool, time.time() + 1)
        for each in others:
            pool.rbd.trash_remove(pool.io, waiting[each["name"]], True)
        return Emptied(
            first["name"], left, other.returncode, in_the_end, names, set(waiting), restored, (early, late)
        )


@dataclass
class Home:
    """All is at site A again: records lost by VM, roles at both sites."""

    lost: dict[str, int]
    idle: int
    here: dict[str, bool]
    there: dict[str, bool]


@pytest.fixture(scope="module")
def home(lost: Lost, emptied: Emptied) -> Home:
    a, b = lost.a, lost.b
    away = vms_at(b)
    with w.open_pool(a) as here:
        for name in WRITERS:
            w.wait_recorded(b, away[name], here)
    done_well(onedr(a, "failback", "--yes"))
    left_out = {}
    for name in WRITERS:
        last = w.told(b, away[name])[-1]
        a.wait_vm(lost.vms[name])
        w.wait_writing(a, lost.vms[name])
        first = next(record for record in w.told(a, lost.vms[name]) if record.number > last.number)
        left_out[name] = first.number - last.number - 1
    seen = Home(left_out, a.api.vm.info(lost.vms["idle"]).STATE, roles(a), roles(b))
    a.wait_datastore(a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
    return seen


def test_the_guard_demotes_what_the_peer_took_over_before_the_front_end_runs(
    lost: Lost, guarded: Guarded,
) -> None:
    assert sorted(guarded.said["demoted"]) == lost.moved
    assert guarded.said["verdicts"][lost.late] in ("only here", "mine")  # site B begins to receive it at once
    assert [name for name, primary in guarded.here.items() if primary] == [lost.late]
    assert set(lost.moved) < set(guarded.here)
    assert all(guarded.there[name] for name in lost.moved)


def test_the_vms_that_the_front_end_believes_running_are_stopped_and_held(held: Held) -> None:
    for name, vm in held.vms.items():
        assert vm.USER_TEMPLATE.get("DR_LOCKED_STATE") and vm.LOCK is not None, name
        assert held.resumed[name] == POWEROFF, "it is locked"


def test_no_client_can_write_to_an_image_there(lost: Lost, held: Held) -> None:
    """That writing fails is seen in the step."""
    assert held.written == lost.divergent[lost.disk("db")]


def test_the_datastore_says_that_it_came_back_and_what_is_next(lost: Lost, held: Held) -> None:
    assert "onedr reprotect" in held.shown["DR_MESSAGE"]
    assert sorted(held.status["stale"]) == lost.moved and held.status["only_here"] == [lost.late]
    assert "OneDRReturned" in held.alerts, held.alerts


def test_the_active_site_knows_that_it_is_right_and_that_it_has_no_copy(lost: Lost, held: Held) -> None:
    assert held.active["state"] == "ACTIVE_UNPROTECTED" and not held.active["demoted"]
    assert all(held.active["verdicts"][name] == "mine" for name in lost.moved)
    refused = held.reprotect_there
    assert refused is not None and refused.code == 2 and "the active one" in refused.complaint


def test_stale_copies_are_promoted_by_nobody(held: Held) -> None:
    told = held.failover
    assert told is not None
    assert not [step for step in told.events[-1]["steps"] if step["kind"] == "promote"], told.complaint
    assert "onedr reprotect" in told.events[-1]["refusal"]


def test_a_dry_run_says_what_is_kept_and_what_moves_and_touches_nothing(lost: Lost, held: Held) -> None:
    told = held.dry
    assert told is not None and told.code == 0, told
    plan = {image["image"]: image for image in told.events[-1]["images"]}
    assert sorted(name for name, image in plan.items() if image["kept"]) == lost.moved
    assert told.events[-1]["only_here"] == [lost.late]
    assert all(plan[name]["bytes"] is not None for name in lost.moved)
    db = plan[lost.disk("db")]
    print(f"\nthe divergent copy of db holds {db['loss_s']} s")
    assert db["bytes"] > 0
    # 0: its last mark had arrived; what was written after that is less than a beat.
    assert db["loss_s"] is not None and db["loss_s"] >= 0
    assert held.after_dry == lost.divergent and not held.kept_after_dry


def test_a_run_that_was_killed_midway_goes_on_and_the_site_stands_by(lost: Lost, stands_by: StandsBy) -> None:
    assert stands_by.interrupted == "INTERRUPTED" and stands_by.verdict["state"] == "STANDBY"
    assert not any(stands_by.here[name] for name in lost.moved)
    assert all(stands_by.there[name] for name in lost.moved)


def test_the_history_of_the_failover_says_what_was_really_lost(lost: Lost, held: Held, stands_by: StandsBy) -> None:
    """The follow-up is a value of its own: what was said at the failover stays."""
    assert held.dry is not None
    measured = {image["image"]: image["loss_s"] for image in held.dry.events[-1]["images"] if image["kept"]}
    vms = {vm["name"]: vm for vm in stands_by.failover["vms"]}
    for name in WRITERS:
        vm = vms[name]
        print(f"\n{name}: at most {vm['rpo_s']} s, lost {vm['measured_s']} s")
        assert vm["measured_s"] == measured[lost.disk(name)] and 0 < vm["measured_s"] <= vm["rpo_s"]
        assert vm["rto_s"] > 0
    with w.open_pool(lost.b) as pool:
        stored = journal.load_runs(pool)[stands_by.failover["run"]]
    assert {vm.measured_s for vm in stored.vms} == {None}


def test_the_kept_copies_hold_what_site_a_had_when_it_died(lost: Lost, stands_by: StandsBy) -> None:
    assert stands_by.sums == lost.divergent
    for each in stands_by.kept.values():
        assert each["expires"] - each["taken"] == WEEK_S
        assert f"one/{each['name']}" in each["look"]
    assert stands_by.kept[lost.disk("db")]["vm"] == f"db ({lost.vms['db']})"


def test_the_copies_at_site_a_are_what_site_b_writes(lost: Lost, followed: Sums) -> None:
    here, there = followed
    assert here == there and sorted(here) == lost.moved
    assert all(here[lost.disk(name)] != lost.divergent[lost.disk(name)] for name in WRITERS)


def test_a_kept_copy_goes_when_it_is_removed_and_to_the_trash_when_its_time_is_over(
    lost: Lost, stands_by: StandsBy, emptied: Emptied,
) -> None:
    assert emptied.rest == {each["name"] for each in stands_by.kept.values()} - {emptied.removed}
    assert len(emptied.rest) == len(lost.moved) - 1
    assert emptied.of_no_copy == 1 and emptied.in_the_end == {}
    assert not [name for name in emptied.names if name.startswith("onedr-kept-")]
    assert emptied.trashed == emptied.rest
    assert all(lost.divergent[image] == digest for image, digest in emptied.restored.items()), "it is still whole"
    assert emptied.gone[0] == [] and len(emptied.gone[1]) == 1


def test_everything_goes_home_under_its_old_ids_with_what_site_b_wrote(lost: Lost, home: Home) -> None:
    assert home.lost == {"db": 0, "web": 0} and home.idle == POWEROFF
    assert all(home.here[name] for name in (*lost.moved, lost.late))
    assert not any(home.there.get(name) for name in lost.moved)


def test_nothing_of_the_kept_copies_is_left_in_the_trash(lost: Lost, home: Home) -> None:
    """rbd-mirror takes away what the copies held there: it tries every 30 s."""
    with w.open_pool(lost.a) as pool:
        until("an empty trash", lambda: not list(pool.rbd.trash_list(pool.io)), 90, 0.5)


def test_while_the_peer_cannot_be_asked_opennebula_must_not_start_unless_the_operator_says_so(
    lost: Lost, home: Home,
) -> None:
    """The last one: it cuts the line."""
    a, bed = lost.a, lost.production.sites.bed
    before = roles(a)
    bed.cut()
    try:
        done = a.run("onedr", "guard", check=False)
        assert done.returncode == 2, done.stdout + done.stderr
        assert f"onedr guard --accept {DATASTORE}" in done.stderr
        assert a.run("onedr", "guard", "--accept", "nobody", check=False).returncode == 1
        done = a.run("onedr", "guard", "--accept", DATASTORE, check=False)
        assert done.returncode == 0 and "accepted by the operator" in done.stdout, done.stdout + done.stderr
        assert roles(a) == before
    finally:
        bed.heal()
