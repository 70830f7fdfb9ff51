"""The line is cut at a bad moment, a front-end talks nonsense, the standby is full: nothing is lost and nothing is hidden."""
from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.runs.request import Request
from sandbox.ceph.cluster import command, connect
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

MIB = 1 << 20


@dataclass
class Story:
    """A VM without a guest that runs at site A on `disk`."""

    sites: Sites
    vm: int = 0
    disk: str = ""


def prepare(sites: Sites) -> Story:
    """A written disk of a running VM, whole at site B with its record."""
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    image = w.create_image(a, "data")
    made = Story(sites, w.create_vm(a, "db", [image]), w.rbd_name(a, image))
    write(a, made.disk)
    with w.open_pool(b) as there:
        w.wait_recorded(a, made.vm, there)
    w.wait_complete(a, [made.disk])
    return made


@pytest.fixture(scope="module")
def story(sites: Sites) -> Story:
    w.introduce(sites.b, sites.a)
    return prepare(sites)


def write(cloud: Cloud, name: str, mib: int = 1) -> None:
    with w.open_pool(cloud) as pool, pool.image(name) as image:
        for at in range(mib):
            image.write(os.urandom(MIB), at * MIB)


def roles(cloud: Cloud, name: str) -> bool:
    with w.open_pool(cloud) as pool:
        return w.primaries(pool)[name]


@pytest.mark.long
def test_a_cut_amid_a_planned_move_is_taken_back_once_the_line_is_there(story: Story) -> None:
    """The VM is stopped and held at site A when the line goes: nothing may be promoted, and later all is as it was."""
    a, b, bed = story.sites.a, story.sites.b, story.sites.bed
    before = w.digest(a, story.disk)
    child = w.start_action(b, Request("move"))
    events: list[dict[str, Any]] = []
    try:
        assert child.stdout is not None
        for line in child.stdout:
            events.append(json.loads(line))
            if events[-1].get("kind") == "stop":
                bed.cut()
        assert child.wait(200) == 5
    finally:
        child.kill()
        bed.heal()
    assert {event["kind"] for event in events if event["event"] == "step"} <= {"sync", "stop", "drain", "fence"}
    assert "could not be fully rolled back" in events[-1]["message"] and "onedr abort" in events[-1]["message"]
    assert not roles(b, story.disk)
    assert w.status(b)["state"] == "INTERRUPTED"
    until("the line", lambda: b.run("onedr", "abort", DATASTORE, check=False).returncode == 0, 120, 2)
    assert w.last_run(b)["result"] == "ABORTED"
    assert roles(a, story.disk) and not roles(b, story.disk)
    a.wait_vm(story.vm)
    assert w.digest(a, story.disk) == before
    write(a, story.disk, 2)
    until("the copy to follow again", lambda: w.digest(b, story.disk) == w.digest(a, story.disk), 120, 1)


def test_a_cut_amid_a_first_copy_leaves_it_out_of_a_failover_until_it_is_whole(story: Story) -> None:
    a, b, bed = story.sites.a, story.sites.b, story.sites.bed
    bed.cut()
    try:
        image = w.create_image(a, "late")
        vm = w.create_vm(a, "late", [image])
        name = w.rbd_name(a, image)
        write(a, name, 8)
        plan = b.run("onedr", "failover", DATASTORE, "--dry-run", "--confirm", DATASTORE, "--json", check=False).stdout
        assert "late" not in {vm["name"] for vm in json.loads(plan.splitlines()[0])["vms"] if not vm["left_out"]}
    finally:
        bed.heal()
    w.wait_complete(a, [name], 150)
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    until("an equal copy", lambda: w.digest(b, name) == w.digest(a, name), 60, 0.5)


class Nonsense(BaseHTTPRequestHandler):
    """A front-end behind a proxy whose backend is gone."""

    def do_POST(self) -> None:
        self.send_error(500)

    def log_message(self, *_: object) -> None:
        pass


def test_a_front_end_that_answers_500_changes_nothing_and_is_named(story: Story) -> None:
    b = story.sites.b
    host = story.sites.bed.sites["site-b"].address.rpartition(".")[0] + ".1"
    server = HTTPServer((host, 0), Nonsense)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with w.open_pool(b) as pool:
            before = w.primaries(pool)
        done = b.run("env", f"ONE_XMLRPC=http://{host}:{server.server_port}/RPC2",
                     "onedr", "failover", DATASTORE, "--confirm", DATASTORE, check=False)
        assert done.returncode == 4 and "500" in done.stderr and "Traceback" not in done.stderr, done.stderr
        with w.open_pool(b) as pool:
            assert w.primaries(pool) == before
    finally:
        server.shutdown()
        server.server_close()


def test_a_standby_without_room_is_told_of_and_catches_up_when_there_is_some(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    a.api.datastore.update(a.datastore_id, "DR_RPO=10s\n", 1)
    full(story, 0.0001)
    try:
        write(a, story.disk, 4)
        until("site A to say so", lambda: says_behind(w.status(a), story.disk), 120, 1)
    finally:
        full(story, 0.99)
    until("the copy", lambda: w.digest(b, story.disk) == w.digest(a, story.disk), 120, 1)
    until("site A to be content", lambda: w.status(a)["state"] == "PROTECTED", 120, 1)


def says_behind(status: dict[str, Any], disk: str) -> bool:
    """Is the disk among those whose copy is older than the objective?"""
    late = status["message"].partition("Older than the objective of 10 s: ")[2]
    return status["state"] == "DEGRADED" and disk in late


def full(story: Story, ratio: float) -> None:
    """At which part of its size site B's cluster counts as full; the other marks must lie below it to have an effect."""
    with connect(story.sites.bed.sites["site-b"]) as cluster:
        for number, mark in enumerate(("nearfull", "backfillfull", "full")):
            command(cluster, prefix=f"osd set-{mark}-ratio", ratio=ratio * (8 + number) / 10)
