"""A peer is dead when it is fenced or when the operator says so; a refused connection is only a hint.

Real clusters, real guests. One site is alive the whole time: VMs must never write at both.
"""
from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

REFUSED = 2  # exit code
POWEROFF = 8


@dataclass
class Ground:
    """A VM that writes at site A, whose disk has a complete copy at site B."""

    sites: Sites
    vm: int
    disk: str

    def roles(self) -> tuple[bool, bool]:
        found = []
        for cloud in (self.sites.a, self.sites.b):
            with w.open_pool(cloud) as pool:
                found.append(w.primaries(pool)[self.disk])
        return found[0], found[1]

    def taken(self) -> bool:
        """Is the disk primary at site B?"""
        with w.open_pool(self.sites.b) as pool:
            return w.primaries(pool)[self.disk]


@pytest.fixture(scope="module")
def ground(sites: Sites) -> Iterator[Ground]:
    if sites.real:
        pytest.skip("stopping daemons is the bed's own doing")
    a, b = sites.a, sites.b
    w.introduce(b, a)
    w.introduce(a, b)
    vm = w.create_vm(a, "worker", [w.create_image(a, "disk")])
    disk = w.vm_disks(a, vm)[0]
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    w.wait_complete(a, [disk])
    w.wait_point(b, ["worker"])
    b.run("onedr", "reconcile", DATASTORE)  # also notes where the peer's OSDs are
    yield Ground(sites, vm, disk)


def events_of(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("form", ["{ip}", "{ip}:{port}", "{ip},{ip}", "v1:{ip}:6789 v2:{ip}:{port}", "{ip};{ip}:{port}"])
def test_a_peer_that_was_joined_by_hand_is_seen_and_can_be_fenced(ground: Ground, form: str) -> None:
    bed, b = ground.sites.bed, ground.sites.b
    with w.open_pool(b) as pool, w.open_pool(ground.sites.a) as there:
        (peer,) = pool.rbd.mirror_peer_list(pool.io)
        before = pool.rbd.mirror_peer_get_attributes(pool.io, peer["uuid"])
        (monitor,) = there.mon(prefix="mon dump")["mons"]
    ip, _, port = next(
        each["addr"] for each in monitor["public_addrs"]["addrvec"] if each["type"] == "v2"
    ).rpartition(":")
    if port != "3300" and "{port}" not in form:
        pytest.skip(f"this bed's monitors listen at port {port}, which must be said")

    def name(mon_host: str) -> None:
        words = ["rbd", "mirror", "pool", "peer", "set", "one", peer["uuid"], "mon-host", mon_host]
        bed.run("site-b", words, check=True, capture_output=True)

    name(form.format(ip=ip, port=port))
    try:
        plan = b.onedr("failover", DATASTORE, "--dry-run")
        assert plan["peer"]["state"] == "answers", plan["peer"]
        assert [step["kind"] for step in plan["steps"]][:2] == ["fence", "promote"]
        done = ground.sites.b.run("onedr", "guard", "--json", check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        name(before["mon_host"])


def test_a_move_that_was_confirmed_is_stopped_when_the_peers_front_end_stops(ground: Ground) -> None:
    bed, b = ground.sites.bed, ground.sites.b
    plan = b.onedr("move", DATASTORE, "--dry-run")
    assert plan["planned"] and not plan["refusal"]
    bed.stop("site-a", "frontend")
    try:
        done = b.run(
            "onedr", "move", DATASTORE, "--confirm", f"{DATASTORE}:{plan['digest']}", "--json", check=False
        )
    finally:
        bed.start("site-a", "frontend")
    assert done.returncode == REFUSED, done.stdout + done.stderr
    (shown,) = [event for event in events_of(done) if event["event"] == "plan"]
    assert shown["digest"] != plan["digest"] and not shown["steps"]
    assert "without loss is not possible" in shown["refusal"]
    assert ground.roles() == (True, False)
    w.wait_writing(ground.sites.a, ground.vm)


def test_an_old_digest_stops_a_failover_and_the_new_plan_is_shown(ground: Ground) -> None:
    b = ground.sites.b
    done = b.run("onedr", "failover", DATASTORE, "--confirm", f"{DATASTORE}:0123456789ab", "--json", check=False)
    (shown,) = [event for event in events_of(done) if event["event"] == "plan"]
    assert done.returncode == REFUSED and "not the one that was shown" in shown["refusal"]
    assert shown["steps"] and shown["digest"] in shown["refusal"]
    assert ground.roles() == (True, False)


def test_stopped_monitors_are_no_dead_site(ground: Ground) -> None:
    """Unconfirmed it is refused, and says what lives there. A fence command that fails ends it with nothing changed."""
    bed, b = ground.sites.bed, ground.sites.b
    command = Path(b.one_location) / "fence-site"
    command.write_text("#!/bin/sh\necho no power switch; exit 3\n")
    command.chmod(stat.S_IRWXU)
    conf = Path(b.one_location) / "etc/onedr/onedr.conf"
    before = conf.read_text()
    bed.stop("site-a", "mon")
    try:
        done = b.run("onedr", "failover", DATASTORE, "--yes", "--json", check=False)
        assert done.returncode == REFUSED and "must be confirmed" in done.stderr, done.stdout + done.stderr
        assert "shows worker" in done.stderr and "OSDs last seen there answer" in done.stderr, done.stderr
        conf.write_text(f"{before}[fence]\ncommand = [\"{command}\"]\n")
        done = b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE, "--json", check=False)
        assert done.returncode != 0
        assert "failed (3)" in events_of(done)[-1]["message"], done.stdout
        assert not ground.taken()
    finally:
        conf.write_text(before)
        bed.start("site-a", "mon")
    bed.wait_healthy()
    assert ground.roles() == (True, False)
    w.wait_writing(ground.sites.a, ground.vm)


def test_what_the_peers_front_end_shows_running_is_stopped_and_locked_first(ground: Ground) -> None:
    """Last: site A's monitors stop, its VM runs on, and the operator at site B confirms."""
    bed, a, b = ground.sites.bed, ground.sites.a, ground.sites.b
    bed.stop("site-a", "mon")
    try:
        done = b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE, "--json", check=False)
        kinds = [event["kind"] for event in events_of(done) if event["event"] == "step"]
        assert done.returncode == 0, done.stdout + done.stderr
        assert kinds.index("stop") < kinds.index("promote")
        there = a.api.vm.info(ground.vm)
        assert there.STATE == POWEROFF and there.LOCK is not None
        new = next(vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "worker")
        w.wait_writing(b, new)
    finally:
        bed.start("site-a", "mon")
    until("site A to know that it was taken over", lambda: not ground.roles()[0], 120, 1)
