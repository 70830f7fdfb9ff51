"""A daemon of the surviving site dies, or hangs, amid a failover: the run ends in a named state and every disk is right.

One dead site, a VM for each story, each brought back by a failover of its own (`--vm`).
"""
from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.runs.request import Request
from sandbox import processes
from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

VMS = ("osd", "mon", "mirror", "wedged", "coordinator")


@dataclass
class Story:
    """Site A is dead; `content`: digest of each VM's disk as it was there; `disks`: their RBD names."""

    sites: Sites
    content: dict[str, str] = field(default_factory=dict)
    disks: dict[str, str] = field(default_factory=dict)

    def signal(self, daemon: str, number: int) -> None:
        """Send a signal to one daemon of site B."""
        pid = processes.running(self.sites.bed.sites["site-b"], daemon)
        assert pid is not None, f"{daemon} of site B does not run"
        os.kill(pid, number)

    def restart(self, daemon: str) -> None:
        """As an init system does, once it is dead."""
        site = self.sites.bed.sites["site-b"]
        until(f"the end of {daemon}", lambda: processes.running(site, daemon) is None, 10)
        self.sites.bed.start("site-b", daemon)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Story:
    disks, content = w.written_vms(w.guestless(sites.a), w.guestless(sites.b), VMS)
    sites.kill_a()
    return Story(sites, content, disks)


def failover(story: Story, name: str, at: Callable[[dict[str, Any]], bool], fault: Callable[[], None]) -> list[dict[str, Any]]:
    """The events of a failover of one VM, during which `fault` happens at the first event that is `at`."""
    child = w.start_action(story.sites.b, Request("failover", confirm=DATASTORE, vms=(name,)))
    events, done = [], False
    try:
        assert child.stdout is not None
        for line in child.stdout:
            events.append(json.loads(line))
            if not done and at(events[-1]):
                done = True
                fault()
    finally:
        child.kill()
        child.wait()
    assert done, f"the moment never came: {events}"
    return events


def is_back(story: Story, name: str) -> None:
    """The VM runs at site B on the bytes that it had."""
    b = story.sites.b
    found = next(vm for vm in b.api.vmpool.info(-2, -1, -1, -2).VM if name == vm.NAME)
    assert found.LCM_STATE == 3
    assert w.digest(b, story.disks[name]) == story.content[name]
    with w.open_pool(b) as pool:
        assert w.primaries(pool)[story.disks[name]]


def planned(event: dict[str, Any]) -> bool:
    return bool(event["event"] == "plan")


def cut_off(event: dict[str, Any]) -> bool:
    return event["event"] == "step" and str(event["kind"]).startswith("cut")


@pytest.mark.parametrize(("daemon", "at"), [("osd", cut_off), ("mon", planned)])
def test_a_daemon_that_dies_and_comes_back_only_delays(story: Story, daemon: str, at: Callable[[dict[str, Any]], bool]) -> None:
    def fault() -> None:
        story.signal(daemon, signal.SIGKILL)
        story.restart(daemon)

    events = failover(story, daemon, at, fault)
    assert events[-1]["event"] == "verdict" and events[-1]["failed"] == {}, events[-1]
    is_back(story, daemon)


def test_rbd_mirror_dies_in_the_middle(story: Story) -> None:
    events = failover(story, "mirror", planned, lambda: story.signal("mirror", signal.SIGKILL))
    assert events[-1]["failed"] == {}
    is_back(story, "mirror")
    story.restart("mirror")


def test_rbd_mirror_hangs(story: Story) -> None:
    story.signal("mirror", signal.SIGSTOP)
    try:
        events = failover(story, "wedged", planned, lambda: None)
    finally:
        story.signal("mirror", signal.SIGCONT)
    assert events[-1]["failed"] == {}
    is_back(story, "wedged")


def test_the_coordinator_dies_and_the_cluster_with_it(story: Story) -> None:
    """The OSD and the run die together; the run is found as interrupted, and resume ends it."""
    def fault() -> None:
        story.signal("osd", signal.SIGKILL)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        failover(story, "coordinator", cut_off, fault)
    story.restart("osd")
    b = story.sites.b
    assert w.status(b)["state"] == "INTERRUPTED"
    b.run("onedr", "resume", DATASTORE)
    is_back(story, "coordinator")
    run = w.last_run(b)
    assert run["result"] == "DONE" and not run["failed"]
