"""The process of every kind of run is killed at every kind of step it takes, and each time gone on with: drill, cleanup, planned
move, failback, disaster failover, reprotect, and home again. Nothing is done twice, nobody is primary twice, no byte is lost.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from drills import make_network, site_as_it_is

from onedr.runs import journal
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]
LIMIT_S = 180


@dataclass
class Story:
    """Two VMs of site A without guests, one on an image, one on a clone. `disks`: their RBD names; `content`: what they hold."""

    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    disks: dict[str, str] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    killed: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    sites.need_a_back()
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    for here, there in ((a, b), (b, a)):
        w.introduce(here, there)
    make_network(b)
    told = Story(sites)
    images = {"db": w.create_image(a, "db-disk", wait=False), "web": w.create_image(a, "base", persistent=False, wait=False)}
    for name, image in images.items():
        a.wait_image(image)
        told.vms[name] = w.create_vm(a, name, [image])
        told.disks[name] = w.vm_disks(a, told.vms[name])[0]
    with w.open_pool(b) as there_pool:
        for vm in told.vms.values():
            w.wait_recorded(a, vm, there_pool)
    w.wait_complete(a, list(told.disks.values()), LIMIT_S)
    write(told, a)
    yield told


def write(story: Story, cloud: Cloud) -> None:
    """New bytes on each disk at the active site; they reach the other before this returns."""
    other = story.sites.b if cloud.name == story.sites.a.name else story.sites.a
    for name, disk in story.disks.items():
        with w.open_pool(cloud) as pool, pool.image(disk) as image:
            image.write(os.urandom(1 << 20), 3 << 20)
        story.content[name] = w.digest(cloud, disk)
        until(f"{disk} to be equal", lambda disk=disk, name=name: w.digest(other, disk) == story.content[name], LIMIT_S, 0.5)


def primaries_at_both(story: Story) -> set[str]:
    """Of the VMs' disks."""
    with w.open_pool(story.sites.a) as here, w.open_pool(story.sites.b) as there:
        mine, theirs = w.primaries(here), w.primaries(there)
    return {disk for disk in story.disks.values() if mine.get(disk) and theirs.get(disk)}


def to_its_end(
    story: Story, cloud: Cloud, first: Request, then: Request, both_alive: bool = True, last: str = ""
) -> dict[str, Any]:
    """Start a run, kill it at its first done step of a kind, go on with `then` until the next kind, and so on to the verdict.

    It is left dead after a kill at the kind `last`.
    """
    killed: list[str] = story.killed.setdefault(first.verb, [])
    request = first
    for _ in range(40):
        child = w.start_action(cloud, request)
        assert child.stdout is not None
        event: dict[str, Any] = {}
        for line in child.stdout:
            event = json.loads(line)
            if event["event"] == "step" and event["kind"] not in killed:
                child.kill()
                killed.append(event["kind"])
                break
        died = child.wait(LIMIT_S) == -9
        if both_alive:
            assert not primaries_at_both(story), (first.verb, killed)
        if not died:
            print(f"\n{first.verb} at {cloud.name}: killed at {killed}, then {event.get('message')}")
            assert event["event"] == "verdict" and not event["failed"], (child.returncode, event)
            return event
        if last in killed:
            return event
        request = then
    raise AssertionError(f"{first.verb} did not end: {killed}")


def cut_amid(story: Story, cloud: Cloud, request: Request, kind: str) -> dict[str, Any]:
    """The verdict of a run during which the line is cut, at its first done step of a kind. The line is there again after it."""
    child = w.start_action(cloud, request)
    events: list[dict[str, Any]] = []
    assert child.stdout is not None
    try:
        for line in child.stdout:
            events.append(json.loads(line))
            if events[-1].get("kind") == kind:
                story.sites.bed.cut()
        assert child.wait(LIMIT_S) == 5, events[-2:]
    finally:
        child.kill()
        story.sites.bed.heal()
    return next(event for event in events if event["event"] == "verdict")


def run(story: Story, cloud: Cloud) -> None:
    """Both VMs run at the site, once, on the bytes that they had."""
    found = {vm.NAME: vm for vm in cloud.api.vmpool.info(-2, -1, -1, -2).VM if vm.LCM_STATE == 3}
    assert sorted(found) == sorted(story.vms)
    assert {name: w.digest(cloud, disk) for name, disk in story.disks.items()} == story.content


def nothing_more(cloud: Cloud) -> None:
    """A run that has ended is not interrupted, and nothing is to be resumed."""
    done = cloud.run("onedr", "resume", DATASTORE, "--yes", check=False)
    assert done.returncode == 2 and "Nothing is interrupted" in done.stderr, done.stderr


def test_a_drill_and_its_cleanup(story: Story) -> None:
    """A guest that does not exist never passes its check, so the last of them is killed amid that."""
    b = story.sites.b
    before = {cloud.name: site_as_it_is(cloud) for cloud in (story.sites.a, b)}
    for kind in ("snapshot", "arrive", "clone", "register", "create", "start", "check"):
        kill_drill(b, kind)
        to_its_end(story, b, Request("drill_cleanup"), Request("drill_cleanup"))
        assert {cloud.name: site_as_it_is(cloud) for cloud in (story.sites.a, b)} == before, kind
    assert {"terminate", "remove", "delete", "remove the snapshot"} <= set(story.killed["drill_cleanup"])
    run(story, story.sites.a)
    write(story, story.sites.a)  # replication goes on


def kill_drill(cloud: Cloud, kind: str) -> None:
    """Hold a drill and kill it at its first done step of a kind, or, of checks, once they are begun."""
    child = w.start_action(cloud, Request("drill"))
    assert child.stdout is not None
    try:
        for line in child.stdout:
            event = json.loads(line)
            if kind == "check" and event.get("kind") == "start":
                until("the checks to begin", lambda: begun(cloud, kind), LIMIT_S, 0.1)
                return
            if event.get("kind") == kind:
                return
        raise AssertionError(f"the drill ended without a {kind}: {event}")
    finally:
        child.kill()
        child.wait()


def begun(cloud: Cloud, kind: str) -> bool:
    """Does the journal of the run at work say that it came to steps of this kind?"""
    with w.open_pool(cloud) as pool:
        run = journal.last_run(pool)
    return run is not None and kind in run.kinds


def test_a_planned_move(story: Story) -> None:
    b = story.sites.b
    to_its_end(story, b, Request("move"), Request("resume"))
    assert {"sync", "stop", "drain", "fence", "promote", "term", "register", "create", "start"} <= set(story.killed["move"])
    run(story, b)
    nothing_more(b)


def test_a_failback(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
    write(story, b)
    to_its_end(story, a, Request("failback"), Request("resume"))
    assert {"sync", "stop", "drain", "fence", "promote", "term", "return", "start"} <= set(story.killed["failback"])
    run(story, a)
    nothing_more(a)
    assert {a.api.vm.info(vm).LCM_STATE for vm in story.vms.values()} == {3}, "under their old ids"


def test_a_disaster_failover(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    a.wait_datastore(a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
    write(story, a)
    with w.open_pool(b) as there:
        for vm in story.vms.values():
            w.wait_recorded(a, vm, there)
    story.sites.kill_a()
    to_its_end(story, b, Request("failover", confirm=DATASTORE), Request("resume"), both_alive=False)
    assert {"cut off rbd-mirror", "promote", "term", "start"} <= set(story.killed["failover"])
    run(story, b)
    nothing_more(b)


def test_a_reprotect_also_when_the_line_is_cut(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    story.sites.return_a(frontend=False)
    done = a.run("onedr", "guard", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    story.sites.return_a()
    to_its_end(story, a, Request("reprotect"), Request("resume"), last="resync")
    assert cut_amid(story, a, Request("resume"), "resync")["state"] == "RETURNED"
    to_its_end(story, a, Request("reprotect"), Request("resume"))
    assert {"keep", "resync", "await"} <= set(story.killed["reprotect"])
    nothing_more(a)
    run(story, b)
    write(story, b)


def test_home_again_with_all_that_was_written(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
    code = a.run("onedr", "failback", DATASTORE, "--yes", check=False)
    assert code.returncode == 0, code.stdout + code.stderr
    run(story, a)
    a.wait_datastore(a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", LIMIT_S)
