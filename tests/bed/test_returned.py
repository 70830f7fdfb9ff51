"""Site A dies with writes that never left it, site B takes over, site A comes back: nothing of it is believed, nothing of it is
lost, and it becomes the standby again; then everything goes home.
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import rbd
import workload as w

from onedr.replication import preserved_copies
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

LIMIT_S = 120


@dataclass
class Story:
    """Three VMs of site A; what their disks held there when it died."""

    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    disks: dict[str, list[str]] = field(default_factory=dict)
    late: str = ""  # an image that never reached site B
    divergent: dict[str, str] = field(default_factory=dict)
    guarded: dict[str, Any] = field(default_factory=dict)
    dry: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    states: list[str] = field(default_factory=list)

    @property
    def moved(self) -> list[str]:
        """Every image that site B took over."""
        return sorted({disk for disks in self.disks.values() for disk in disks} | {"one-0"})


def events_of(cloud: Cloud, *argv: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, events and complaint of `onedr VERB DATASTORE … --json`."""
    done = cloud.run("onedr", argv[0], str(cloud.datastore_id), *argv[1:], "--json", check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def prepare(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    w.introduce(b, a)
    w.introduce(a, b)
    base = w.create_image(a, "base", persistent=False)
    disk, idle = w.create_image(a, "disk", wait=False), w.create_image(a, "idle", wait=False)
    for image in (disk, idle):
        a.wait_image(image)
    story.vms["db"] = w.create_vm(a, "db", [disk], "DR_PRIORITY=1\n", wait=False)
    story.vms["web"] = w.create_vm(a, "web", [base], wait=False)
    story.vms["idle"] = w.create_vm(a, "idle", [idle], wait=False)
    for vm in story.vms.values():
        a.wait_vm(vm)
    a.api.vm.action("poweroff-hard", story.vms["idle"])
    a.wait_vm(story.vms["idle"], "POWEROFF")
    with w.open_pool(b) as there:
        for name, vm in story.vms.items():
            w.wait_recorded(a, vm, there)
            story.disks[name] = w.disks_of(w.wanted_record(a, vm))
    w.wait_complete(a, story.moved)
    for name in ("db", "web"):
        w.wait_writing(a, story.vms[name])


def lose_a(story: Story) -> None:
    """Nothing reaches site B any more, the guests at site A write on, an image is made; then site A dies."""
    bed, a = story.sites.bed, story.sites.a
    bed.stop("site-b", "mirror")
    for name in ("db", "web"):
        w.wait_writing(a, story.vms[name], 12)
    story.late = w.rbd_name(a, w.create_image(a, "late"))
    story.sites.kill_a()
    bed.start("site-b", "mirror")


def take_over(story: Story) -> None:
    b = story.sites.b
    code, events, text = events_of(b, "failover", "--confirm", DATASTORE, "--yes")
    assert code == 0, (events[-1:], text)
    for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        if vm.NAME != "idle":
            b.wait_vm(vm.ID)
            w.wait_writing(b, vm.ID)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    """Up to the moment at which site A is back, guarded before its front-end ran, and its front-end runs."""
    sites.need_a_back()
    told = Story(sites)
    prepare(told)
    lose_a(told)
    take_over(told)
    sites.return_a(frontend=False)
    for name in told.moved:
        replay(sites.a, name)
    told.divergent = {name: w.digest(sites.a, name) for name in told.moved}
    done = sites.a.run("onedr", "guard", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told.guarded = json.loads(done.stdout)
    sites.return_a()
    told.dry = {}
    yield told


def replay(cloud: Cloud, name: str) -> None:
    """Let Ceph write what is in the journal only, as the next writer's lock does: a reader does not see that."""
    with w.open_pool(cloud) as pool, pool.image(name) as image:
        image.write(b"", 0)


def roles(cloud: Cloud) -> dict[str, bool]:
    with w.open_pool(cloud) as pool:
        return w.primaries(pool)


def test_the_guard_demotes_what_the_peer_took_over_before_the_front_end_runs(story: Story) -> None:
    assert sorted(story.guarded["demoted"]) == story.moved
    assert story.guarded["verdicts"][story.late] in ("only here", "mine")  # site B begins to receive it at once
    found = roles(story.sites.a)
    assert [name for name, primary in found.items() if primary] == [story.late] and set(story.moved) < set(found)
    there = roles(story.sites.b)
    assert all(there[name] for name in story.moved)


def test_the_vms_that_the_front_end_believes_running_are_stopped_and_held(story: Story) -> None:
    a = story.sites.a
    a.onedr("reconcile", str(a.datastore_id), check=False)
    for vm in story.vms.values():
        found = a.wait_vm(vm, "POWEROFF")
        assert found.USER_TEMPLATE.get("DR_HELD") and found.LOCK is not None
        a.run("onevm", "resume", str(vm), check=False)
        assert a.api.vm.info(vm).STATE == 8, "it is locked"


def test_no_client_can_write_to_an_image_there(story: Story) -> None:
    name, refused = story.disks["db"][0], (rbd.ReadOnlyImage, rbd.PermissionError)
    with w.open_pool(story.sites.a) as pool, pool.image(name) as image, pytest.raises(refused):
        image.write(b"x", 0)
    assert w.digest(story.sites.a, name) == story.divergent[name]


def test_the_datastore_says_that_it_came_back_and_what_is_next(story: Story) -> None:
    a = story.sites.a
    found = a.wait_datastore(a.datastore_id, lambda shown: shown.get("DR_STATE") == "RETURNED", LIMIT_S)
    assert "onedr reprotect" in found["DR_MESSAGE"]
    status = w.status(a)
    assert sorted(status["stale"]) == story.moved and status["only_here"] == [story.late]


def test_the_active_site_knows_that_it_is_right_and_that_it_has_no_copy(story: Story) -> None:
    b = story.sites.b
    assert w.status(b)["state"] == "ACTIVE_UNPROTECTED"
    done = b.run("onedr", "guard", "--json", check=False)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and not found["demoted"], done.stdout + done.stderr
    assert all(found["verdicts"][name] == "mine" for name in story.moved)
    code, _, text = events_of(b, "reprotect", "--yes")
    assert code == 2 and "the active one" in text


def test_stale_copies_are_promoted_by_nobody(story: Story) -> None:
    a = story.sites.a
    _, events, text = events_of(a, "failover", "--confirm", DATASTORE, "--dry-run")
    assert not [step for step in events[-1]["steps"] if step["kind"] == "promote"], text
    assert "onedr reprotect" in events[-1]["refusal"]


def test_a_dry_run_says_what_is_kept_and_what_moves_and_touches_nothing(story: Story) -> None:
    a = story.sites.a
    before = [(name, w.digest(a, name)) for name in story.moved]
    code, events, text = events_of(a, "reprotect", "--dry-run")
    assert code == 0, text
    plan = {image["image"]: image for image in events[-1]["images"]}
    assert sorted(name for name, image in plan.items() if image["kept"]) == story.moved
    assert events[-1]["only_here"] == [story.late]
    assert all(plan[name]["bytes"] is not None for name in story.moved)
    assert plan[story.disks["db"][0]]["bytes"] > 0
    loss = plan[story.disks["db"][0]]["loss_s"]
    print(f"\nthe divergent copy of db holds {loss} s")
    assert loss is not None and loss >= 0  # 0: its last mark had arrived, what was written after it is less than a beat
    assert [(name, w.digest(a, name)) for name in story.moved] == before and not kept(a)


def kept(cloud: Cloud) -> list[dict[str, Any]]:
    return list(json.loads(cloud.run("onedr", "kept", str(cloud.datastore_id), "--json").stdout))


def test_a_run_that_was_killed_midway_goes_on_and_the_site_stands_by(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    child = w.start_action(a, Request("reprotect"))
    assert child.stdout is not None
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["kind"] == "resync":
            child.kill()
            break
    child.wait()
    assert w.status(a)["state"] == "INTERRUPTED"
    code, events, text = events_of(a, "reprotect", "--yes")
    assert code == 0, (events[-1:], text)
    took = [(event["kind"], event["target"], event["seconds"]) for event in events if "kind" in event]
    print(f"\nreprotected in {events[-1]['seconds']} s: {took}")
    assert events[-1]["state"] == "STANDBY"
    assert not any(roles(a)[name] for name in story.moved) and all(roles(b)[name] for name in story.moved)
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)


def test_the_kept_copies_hold_what_site_a_had_when_it_died(story: Story) -> None:
    found = {each["image"]: each for each in kept(story.sites.a)}
    assert sorted(found) == story.moved
    for name, each in found.items():
        assert w.digest(story.sites.a, each["name"]) == story.divergent[name], name
        assert each["expires"] - each["taken"] == 7 * 86400
        assert f"one/{each['name']}" in each["look"]
    assert found[story.disks["db"][0]]["vm"] == f"db ({story.vms['db']})"


def test_the_copies_at_site_a_are_what_site_b_writes(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM:
        if vm.NAME != "idle":
            b.api.vm.action("poweroff-hard", vm.ID)
            b.wait_vm(vm.ID, "POWEROFF")
    for name in story.moved:
        until(f"{name} to be equal", lambda name=name: w.digest(a, name) == w.digest(b, name), 60, 0.5)
        assert w.digest(a, name) != story.divergent[name] or name not in {story.disks[vm][0] for vm in ("db", "web")}


def test_a_kept_copy_goes_when_it_is_removed_and_to_the_trash_when_its_time_is_over(story: Story) -> None:
    a = story.sites.a
    first, *rest = kept(a)
    a.run("onedr", "kept", str(a.datastore_id), "--remove", first["name"])
    assert [each["name"] for each in kept(a)] == [each["name"] for each in rest]
    assert a.run("onedr", "kept", str(a.datastore_id), "--remove", "one-0", check=False).returncode == 1
    with w.open_pool(a) as pool:
        for each in rest:
            with pool.image(each["name"]) as image:
                values = json.loads(dict(image.metadata_list())["onedr.kept"])
                image.metadata_set("onedr.kept", json.dumps({**values, "expires": values["taken"]}))
    story.sites.b.onedr("reconcile", str(story.sites.b.datastore_id))  # its turn says what time it is there
    a.onedr("reconcile", str(a.datastore_id))
    assert kept(a) == []
    with w.open_pool(a) as pool:
        assert not [name for name in pool.names() if name.startswith("onedr-kept-")]
        waiting = {str(each["name"]): each["id"] for each in pool.rbd.trash_list(pool.io) if each["source"] == "USER"}
        assert sorted(waiting) == sorted(each["name"] for each in rest)
        name = rest[0]["name"]
        pool.rbd.trash_restore(pool.io, waiting[name], name)
        assert w.digest(a, name) == story.divergent[rest[0]["image"]], "what expired is still whole"
        assert preserved_copies.empty_trash(pool, time.time()) == [], "not before its time"
        pool.rbd.trash_move(pool.io, name, 0)
        assert preserved_copies.empty_trash(pool, time.time() + 1) == [name]
        for other in rest[1:]:
            pool.rbd.trash_remove(pool.io, waiting[other["name"]], True)


def test_everything_goes_home_under_its_old_ids_with_what_site_b_wrote(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    away = {vm.NAME: vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    for name in ("db", "web"):
        b.api.vm.action("resume", away[name])
        b.wait_vm(away[name])
        w.wait_writing(b, away[name])
        with w.open_pool(a) as here:
            w.wait_recorded(b, away[name], here)
    code, events, text = events_of(a, "failback", "--yes")
    assert code == 0, (events[-1:], text)
    for name in ("db", "web"):
        last = w.told(b, away[name])[-1]
        a.wait_vm(story.vms[name])
        w.wait_writing(a, story.vms[name])
        first = next(record for record in w.told(a, story.vms[name]) if record.number > last.number)
        assert first.number == last.number + 1, f"{name} lost records"
    assert a.api.vm.info(story.vms["idle"]).STATE == 8
    assert all(roles(a)[name] for name in (*story.moved, story.late)) and not any(roles(b).get(name) for name in story.moved)
    a.wait_datastore(a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)


def test_nothing_of_the_kept_copies_is_left_in_the_trash(story: Story) -> None:
    """rbd-mirror takes away what the copies held there: it tries every 30 s."""
    with w.open_pool(story.sites.a) as pool:
        until("an empty trash", lambda: not list(pool.rbd.trash_list(pool.io)), 90, 0.5)


def test_while_the_peer_cannot_be_asked_opennebula_must_not_start_unless_the_operator_says_so(story: Story) -> None:
    """The last one: it cuts the line."""
    a, bed = story.sites.a, story.sites.bed
    before = roles(a)
    bed.cut()
    try:
        done = a.run("onedr", "guard", check=False)
        assert done.returncode == 2 and f"onedr guard --accept {DATASTORE}" in done.stderr, done.stdout + done.stderr
        assert a.run("onedr", "guard", "--accept", "nobody", check=False).returncode == 1
        done = a.run("onedr", "guard", "--accept", DATASTORE, check=False)
        assert done.returncode == 0 and "accepted by the operator" in done.stdout, done.stdout + done.stderr
        assert roles(a) == before
    finally:
        bed.heal()
