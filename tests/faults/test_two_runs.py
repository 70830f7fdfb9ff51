"""Two runs at once, one at each site, both sites alive: one of them runs, the other is refused, no image has two primaries.

Pairs of verbs and moments are random (the seed is printed): a handful of rounds here, 50 in `make long`. A drill takes
the lease and collects its facts, then refuses for want of a network: guests that are none would keep it waiting.
"""
from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.replication import epoch
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

VERBS = ("move", "failover", "failback", "reprotect", "drill", "guard")
VMS = ("db", "web")
ROUNDS, LONG_ROUNDS = 4, 50
LATEST_S = 5.0
LIMIT_S = 240
REFUSED = "Another run is in progress on this datastore: "
SEED = random.randrange(1 << 32)


@dataclass
class Story:
    """Two VMs without guests and an image without a VM, mirrored; by image and term, the sites that wrote it."""

    sites: Sites
    disks: list[str]
    terms: dict[tuple[str, int], set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    w.introduce(a, b)
    w.introduce(b, a)
    disks, _ = w.written_vms(a, b, VMS, ("loose",))
    yield Story(sites, list(disks.values()))


class Running:
    """An action at a site, and what it said."""

    def __init__(self, cloud: Cloud, request: Request):
        self.cloud, self.verb = cloud, request.verb
        self.events: list[dict[str, Any]] = []
        self.child = _start(cloud, request)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if line.startswith("{"):
                self.events.append(json.loads(line))

    def done(self, kind: str) -> list[str]:
        return [event["target"] for event in self.events if event["event"] == "step" and event["kind"] == kind]

    def end(self) -> None:
        self.child.wait(LIMIT_S)
        self.reader.join(10)

    @property
    def error(self) -> str:
        return next((str(event["message"]) for event in self.events if event["event"] == "error"), "")

    def names_the_winner(self, winner: Running) -> bool:
        return f"{winner.verb} by " in self.error and " since 20" in self.error and " on " in self.error


def _start(cloud: Cloud, request: Request) -> subprocess.Popen[str]:
    if request.verb != "guard":
        return w.start_action(cloud, request)
    environment = {**os.environ, **cloud.process_environment()}
    return subprocess.Popen(
        [*cloud.prefix, "onedr", "guard"], text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )


def asked(verb: str, by: str) -> Request:
    return Request(verb, confirm=DATASTORE, by=by, trigger="test", at=time.time())


def primaries_now(story: Story) -> dict[str, tuple[bool, bool]]:
    with w.open_pool(story.sites.a) as here, w.open_pool(story.sites.b) as there:
        at_a, at_b = w.primaries(here), w.primaries(there)
    return {name: (at_a[name], at_b[name]) for name in story.disks}


def look(story: Story, what: str) -> None:
    """No image is primary twice, and no term was written by two sites."""
    roles = primaries_now(story)
    assert not [name for name, both in roles.items() if all(both)], f"{what}: primary at both sites: {roles}"
    for cloud in (story.sites.a, story.sites.b):
        with w.open_pool(cloud) as pool:
            for name in story.disks:
                with pool.image(name, read_only=True) as image:
                    written = epoch.epoch_of(image)
                if written is not None:
                    story.terms.setdefault((name, written.number), set()).add(written.fsid)
    twice = {key: sites for key, sites in story.terms.items() if len(sites) > 1}
    assert not twice, f"{what}: one term of two sites: {twice}"


def settle(story: Story) -> None:
    """Whatever the round left is made good: one site primary of all, the copies complete, no drill standing."""
    for cloud in (story.sites.a, story.sites.b):
        cloud.run("onedr", "drill", "cleanup", DATASTORE, check=False)
        if w.last_run(cloud).get("result") == "INTERRUPTED":
            cloud.run("onedr", "resume", DATASTORE, "--yes", check=False)
    roles = primaries_now(story)
    assert all(any(both) for both in roles.values()), f"an image is primary nowhere: {roles}"
    receiver = story.sites.b if all(at_a for at_a, _ in roles.values()) else story.sites.a
    writer = story.sites.a if receiver is story.sites.b else story.sites.b
    until("copies that are whole", lambda: _ready(receiver, writer, story), 120, 0.5)


def _ready(receiver: Cloud, writer: Cloud, story: Story) -> bool:
    writer.run("onedr", "reconcile", DATASTORE, check=False)
    disks = {disk["name"]: disk for disk in w.status(receiver)["disks"]}
    return all(disks[name]["complete"] for name in story.disks)


def play(story: Story, number: int, chance: random.Random) -> None:
    pair = chance.choice(list(itertools.product(VERBS, VERBS)))
    delay_s, first = chance.uniform(0, LATEST_S), chance.randrange(2)
    clouds = (story.sites.a, story.sites.b)
    what = f"round {number}, seed {SEED}: {pair[0]} at A, {pair[1]} at B, {'AB'[first]} first by {delay_s:.2f} s"
    print(what)
    one = Running(clouds[first], asked(pair[first], "ada@one"))
    try:
        time.sleep(delay_s)  # the random moment is what is tried
        other = Running(clouds[1 - first], asked(pair[1 - first], "bob@two"))
        other.end()
    finally:
        one.end()
    look(story, what)
    for loser, winner in ((one, other), (other, one)):
        if loser.error.startswith(REFUSED):
            assert loser.names_the_winner(winner), f"{what}: {loser.error}"
            assert not loser.events or not loser.done("promote"), f"{what}: {loser.events}"
            assert not winner.error.startswith(REFUSED), f"{what}: both were refused"
    settle(story)


def test_the_exact_double_press(story: Story) -> None:
    """A move at B; at A a failover is confirmed between B's last demotion and its first promotion."""
    a, b = story.sites.a, story.sites.b
    move = Running(b, asked("move", "ada@one"))
    try:
        until("the last demotion", lambda: len(move.done("fence")) == len(story.disks), 120, 0.005)
        assert not move.done("promote")
        press = Running(a, asked("failover", "bob@two"))
        press.end()
        assert press.error.startswith(REFUSED) and "by ada@one" in press.error and "of site" in press.error, press.error
        assert press.child.returncode == 2 and not press.done("promote")
    finally:
        move.end()
    verdict = move.events[-1]
    assert verdict["event"] == "verdict" and "no data lost" in verdict["message"], move.events[-2:]
    assert set(primaries_now(story).values()) == {(False, True)}
    look(story, "the double press")
    settle(story)


def test_two_runs_at_random_moments(story: Story) -> None:
    chance = random.Random(SEED)
    for number in range(ROUNDS):
        play(story, number, chance)


@pytest.mark.long
@pytest.mark.timeout(5400)  # a round takes 15 s on two cores, 50 s where they are shared
def test_two_runs_at_many_random_moments(story: Story) -> None:
    chance = random.Random(SEED + 1)
    for number in range(LONG_ROUNDS):
        play(story, number, chance)
