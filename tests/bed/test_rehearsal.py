"""A rehearsal at site B while site A goes on: which VMs would be accepted, why others would not, and that nothing
of it is left, also when it is killed at any of its calls.
"""
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from alerts import firing_now
from drills import site_as_it_is

from onedr.ceph import omap
from onedr.driver.start_action import driver_data
from onedr.model import names
from onedr.replication import rehearsals
from onedr.runs import journal
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, NETWORK, Cloud
from sandbox.layout import REPO
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

KILL_POINTS = max(2, int(os.environ.get("KILL_POINTS", "6")))  # the first, the last, and some between
LIMIT_S = 180
GOOD = ("web", "shop1")


@dataclass
class Story:
    """Six VMs of site A without guests, and what a rehearsal at site B said of them."""

    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    holder: int = 0  # VM of site B on an address that a VM of site A has
    before: Any = None
    after: Any = None
    done: Any = None
    checked: dict[str, Any] = field(default_factory=dict)
    came: dict[str, dict[str, Any]] = field(default_factory=dict)
    known_at_a: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


def at_rest(cloud: Cloud) -> Any:
    """All that a rehearsal might leave: also quotas, notes in the pool, and VMs in security groups."""
    api = cloud.api
    users = {user.NAME: user.ID for user in api.userpool.info().USER}
    quotas = {name: quotas_of(cloud, number) for name, number in users.items()}
    groups = {
        group.NAME: sorted(group.UPDATED_VMS.ID + group.OUTDATED_VMS.ID)
        for group in api.secgrouppool.info(-2, -1, -1).SECURITY_GROUP
    }
    with w.open_pool(cloud) as pool:
        noted = rehearsals.made(pool, cloud.datastore_id)
        values = {name: w.values_of(pool, name) for name in pool.names() if cloud.name == "site-b"}
        for one in values.values():
            for mark in w.MARKS:  # site A's keeper works on
                one.pop(mark, None)
    return site_as_it_is(cloud), quotas, groups, noted, values


def quotas_of(cloud: Cloud, user: int) -> Any:
    element = w.frontend(cloud)._object("user.info", user, False)
    return sorted(
        (path, float(each.text or 0)) for each in element.iter()
        if str(each.tag).endswith("_USED") and float(each.text or 0) and (path := element.getroottree().getpath(each))
    )


def prepare(story: Story) -> None:
    a, b = w.guestless(story.sites.a), w.guestless(story.sites.b)
    w.introduce(a, b)
    w.introduce(b, a)
    for cloud in (a, b):
        cloud.api.user.allocate("dora", "password-of-dora", "core", [])
    owner, limited = (
        next(user.ID for user in cloud.api.userpool.info().USER if user.NAME == "dora") for cloud in (a, b)
    )
    b.api.user.quota(limited, 'VM=[VMS="1",MEMORY="-2",CPU="-2",RUNNING_VMS="-2",SYSTEM_DISK_SIZE="-2"]')
    rule = 'RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE="22"]\n'
    inner = a.api.secgroup.allocate(f"NAME=inner\n{rule}")
    for cloud in (a, b):
        cloud.api.secgroup.allocate(f"NAME=everywhere\n{rule}")
    everywhere = next(g.ID for g in a.api.secgrouppool.info(-2, -1, -1).SECURITY_GROUP if g.NAME == "everywhere")
    a.api.vn.allocate('NAME=north\nVN_MAD=dummy\nBRIDGE=br1\nAR=[TYPE=IP4,IP="198.51.100.10",SIZE=20]\n', -1)
    lan = f'NETWORK="{NETWORK}"'
    wanted = {
        "web": f'NIC=[{lan},IP="192.0.2.33",SECURITY_GROUPS="{everywhere}"]\nNOTE="a <b> & c"\nVCPU=2\n'
               'CONTEXT=[NETWORK="YES",PASSWORD="$6$salt$hash",ROLE="front"]\n'
               'SCHED_ACTION=[ACTION="terminate",TIME="+86400"]\n'
               'SCHED_ACTION=[ACTION="disk-snapshot-create",ARGS="0,nightly",TIME="4000000000",REPEAT="3",DAYS="24",END_TYPE="0"]\n',
        "shop1": "DR_PRIORITY=1\n",
        "shop2": "DR_PRIORITY=2\n",
        "closed": f'NIC=[{lan},SECURITY_GROUPS="{inner}"]\n',
        "lost": 'NIC=[NETWORK="north"]\n',
        "taken": f'NIC=[{lan},IP="192.0.2.40"]\n',
    }
    images = {name: w.create_image(a, f"{name}-disk", persistent=name != "web", wait=False) for name in wanted}
    for image in images.values():
        a.wait_image(image)
    story.vms = {name: w.create_vm(a, name, [images[name]], more, wait=False) for name, more in wanted.items()}
    for name, vm in story.vms.items():
        a.wait_vm(vm)
        if name.startswith("shop"):
            a.api.vm.chown(vm, owner, -1)
            a.api.image.chown(images[name], owner, -1)
    story.holder = int(b.api.vm.allocate(f'NAME=holder\n{w.SMALL}NIC=[{lan},IP="192.0.2.40"]\n', True))
    with w.open_pool(b) as there:
        for vm in story.vms.values():
            w.wait_recorded(a, vm, there)
    w.wait_complete(a, [disk for vm in story.vms.values() for disk in w.vm_disks(a, vm)], LIMIT_S)
    until("site B to be ready", lambda: not any(vm["obstacles"] for vm in w.status(b)["vms"]), LIMIT_S, 0.5)


@pytest.fixture(scope="module")
def story(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    told, b = Story(sites), sites.b
    prepare(told)
    told.before = {cloud.name: at_rest(cloud) for cloud in (sites.a, b)}
    log = tmp_path_factory.mktemp("calls") / "log"
    began = time.time()
    told.done = b.run("onedr", "check", DATASTORE, "--rehearse", "--json", check=False)
    told.after = {cloud.name: at_rest(cloud) for cloud in (sites.a, b)}
    told.checked = json.loads(told.done.stdout)
    told.came = {vm["name"]: vm["rehearsal"] for vm in w.status(b)["vms"]}
    told.known_at_a = {vm["name"]: vm["rehearsal"] for vm in w.status(sites.a)["vms"]}
    assert all(came["at"] > began for came in told.came.values()), told.came
    assert intercepted(b, ASKED_LOG=str(log)) == 0
    told.calls = log.read_text().splitlines()
    yield told


def intercepted(cloud: Cloud, **variables: str) -> int:
    """The action, with its calls counted (tests/bed/killed/sitecustomize.py): started by another interpreter than the
    installed executable, which takes nothing from its environment. Its exit code.
    """
    path = os.pathsep.join([str(REPO / "tests" / "bed" / "killed"), str(REPO)])
    data = driver_data(w.frontend(cloud).datastore(cloud.datastore_id), Request("rehearse"))
    env = {**os.environ, **cloud.environment, **cloud.process_environment(), "PYTHONPATH": path, **variables}
    program = str(REPO / "drivers/datastore/ceph_dr/rehearse")
    argv = [*cloud.prefix, sys.executable, program, str(cloud.datastore_id)]
    return subprocess.run(argv, input=data, env=env, stdout=subprocess.DEVNULL, timeout=LIMIT_S).returncode


def rehearse(cloud: Cloud, attributes: tuple[tuple[str, str], ...] = ()) -> int:
    """Run the action itself; its exit code."""
    child = w.start_action(cloud, Request("rehearse", attributes=attributes))
    assert child.stdout is not None
    child.stdout.read()
    return child.wait(LIMIT_S)


def free_lock(cloud: Cloud) -> None:
    """What a minute does after a kill: the lock expires unless it is renewed."""
    with w.open_pool(cloud) as pool:
        held = rehearsals.lock(pool, cloud.datastore_id)._what
        if any(entry.key == held for entry in pool.io.list_objects()):
            pool.io.remove_object(held)


def test_the_good_are_accepted_as_they_were(story: Story) -> None:
    for name in GOOD:
        assert story.came[name]["result"] == "accepted", story.came[name]
        assert story.came[name]["differences"] == [], story.came[name]
        assert 0 < story.came[name]["seconds"] < 60


def test_each_refusal_says_why(story: Story) -> None:
    why = {name: came["why"] for name, came in story.came.items() if came["result"] == "refused"}
    assert why.keys() == {"shop2", "closed", "lost", "taken"}
    assert "VMS is limited to 1" in why["shop2"]
    assert "security group 'inner'" in why["closed"] and "DR_SECURITY_GROUP_MAP" in why["closed"]
    assert "network 'north'" in why["lost"] and "DR_NETWORK_MAP" in why["lost"]
    assert f"192.0.2.40 in network '{NETWORK}' belongs to VM {story.holder}" in why["taken"]


def test_the_check_shows_them_as_problems(story: Story) -> None:
    assert story.done.returncode == 6
    found = [one for one in story.checked["findings"] if one["code"] == "REHEARSAL"]
    assert {one["level"] for one in found} == {"problem"} and len(found) == 4
    text = story.sites.b.run("onedr", "status", DATASTORE).stdout
    assert "rehearsed" in text and "accepted" in text and "limited to 1" in text
    assert "OneDRRehearsalFailed" in firing_now(story.sites.b)


def test_the_site_of_the_vms_says_the_same_of_each(story: Story) -> None:
    assert story.known_at_a == story.came


def test_it_really_made_them(story: Story) -> None:
    """The read-back, the status and the clean site would all be there for a rehearsal that does nothing."""
    assert story.calls.count("one.vm.allocate") == 2 and story.calls.count("one.image.allocate") == 2
    assert story.calls.count("one.vm.chown") >= 1 and "one.datastore.update" not in story.calls


def test_both_sites_are_as_they_were(story: Story) -> None:
    assert story.after == story.before
    assert w.status(story.sites.b)["state"] == "STANDBY"


def test_it_is_refused_while_a_run_is_at_work(story: Story) -> None:
    with w.open_pool(story.sites.b) as pool, journal.Run(pool, "drill"):
        done = story.sites.b.run("onedr", "check", DATASTORE, "--rehearse", check=False)
    assert done.returncode == 2 and "a run is in progress: drill" in done.stderr, done.stderr
    assert at_rest(story.sites.b) == story.before["site-b"]


def kill_at(story: Story, when: str, number: int) -> None:
    """Kill a rehearsal at its n-th change; fewer changes than that end it well."""
    code = intercepted(story.sites.b, **{f"ASKED_KILL_{when}": str(number)})
    assert code == -9, (when, number, code)
    free_lock(story.sites.b)


def points(story: Story) -> list[tuple[str, int]]:
    last = len(story.calls)
    numbers = sorted({1 + round(each * (last - 1) / (KILL_POINTS - 1)) for each in range(KILL_POINTS)})
    return [("AFTER" if number % 2 else "BEFORE", number) for number in numbers]


@pytest.mark.timeout(900)
def test_killed_at_any_call_the_next_one_leaves_nothing(story: Story) -> None:
    seen = set()
    for when, number in points(story):
        kill_at(story, when, number)
        seen.add(at_rest(story.sites.b)[0] != story.before["site-b"][0])
        assert rehearse(story.sites.b, (("IF_DUE", "YES"),)) == 0
        assert at_rest(story.sites.b) == story.before["site-b"], (when, number)
    assert True in seen, "no kill left anything, which proves nothing"


def kill_with_leftovers(story: Story) -> None:
    """Killed once its VMs exist: before the first of them is removed."""
    kill_at(story, "BEFORE", story.calls.index("one.vm.action") + 1)
    with w.open_pool(story.sites.b) as pool:
        assert rehearsals.made(pool, story.sites.b.datastore_id).vms
    assert any(vm.NAME.startswith(names.REHEARSAL) for vm in story.sites.b.api.vmpool.info(-2, -1, -1, -1).VM)


def test_the_keeper_cleans_up_after_a_killed_one(story: Story) -> None:
    b = story.sites.b
    kill_with_leftovers(story)
    wake(b)
    until("site B to be as it was", lambda: at_rest(b) == story.before["site-b"], LIMIT_S, 1)


def test_marks_alone_remove_nothing(story: Story) -> None:
    """A VM that looks like a rehearsal's, with a token that the pool does not know, is left alone."""
    b = story.sites.b
    fake = int(b.api.vm.allocate(f"NAME={names.REHEARSAL}web\n{w.SMALL}DR_REHEARSAL=0123456789abcdef\n", True))
    try:
        assert rehearse(b) == 0
        assert b.api.vm.info(fake).STATE == 2
    finally:
        b.api.vm.action("terminate-hard", fake)
    assert at_rest(b) == story.before["site-b"]


def test_the_timer_rehearses_once_a_night(story: Story) -> None:
    b = story.sites.b
    with w.open_pool(b) as pool:
        omap.write_keys(pool, rehearsals.OBJECT, {f"turn.{b.datastore_id}": b"1000.0"})
    b.api.datastore.update(b.datastore_id, "DR_REHEARSE=YES", 1)
    began = time.time()
    wake(b)

    def rehearsed() -> bool:
        return all(vm["rehearsal"]["at"] > began for vm in w.status(b)["vms"])

    until("the rehearsal of the night", rehearsed, LIMIT_S, 1)
    until("site B to be as it was", lambda: at_rest(b) == story.before["site-b"], LIMIT_S, 1)
    with w.open_pool(b) as pool:
        turn = rehearsals.last_turn(pool, b.datastore_id)
        wake(b)
        assert rehearse(b, (("IF_DUE", "YES"),)) == 0
        assert rehearsals.last_turn(pool, b.datastore_id) == turn, "once a night"
    b.api.datastore.update(b.datastore_id, "DR_REHEARSE=NO", 1)


def wake(cloud: Cloud) -> None:
    """Start the datastore's keeper, as oned's monitor action does."""
    done = cloud.run(
        "python3", "-c",
        f"from onedr.protection import keeper_lock; keeper_lock.wake_keeper({cloud.datastore_id})",
    )
    assert done.returncode == 0


def test_a_failover_is_not_kept_from_addresses_and_leaves_nothing_of_it(story: Story) -> None:
    """The last one: site B takes over while a killed rehearsal still holds the addresses of its VMs."""
    b = story.sites.b
    kill_with_leftovers(story)
    owner = next(user.ID for user in b.api.userpool.info().USER if user.NAME == "dora")
    b.api.user.quota(owner, 'VM=[VMS="2"]')
    b.api.vm.action("terminate-hard", story.holder)
    stay = [word for name in ("closed", "lost") for word in ("--leave", str(story.vms[name]))]
    shown = b.onedr("move", DATASTORE, "--dry-run", *stay)
    assert not any("192.0.2" in why for why in shown["left_out"].values()), shown["left_out"]
    done = b.run("onedr", "move", DATASTORE, "--yes", *stay, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    web = next(vm for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "web")
    assert web.TEMPLATE["NIC"]["IP"] == "192.0.2.33"
    left = [vm.NAME for vm in b.api.vmpool.info(-2, -1, -1, -1).VM if vm.NAME.startswith(names.REHEARSAL)]
    left += [image.NAME for image in b.api.imagepool.info(-2, -1, -1).IMAGE if image.NAME.startswith(names.REHEARSAL)]
    assert left == []
