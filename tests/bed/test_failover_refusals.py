"""What a failover refuses, with the reason and without a trace; and what it does to a peer that is alive
(docs/design.md, "Rules of failover").
"""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import rbd
import workload as w

from onedr.runs import journal
from onedr.runs import lease as runs_lease
from sandbox.cloud import DATASTORE, NETWORK
from sandbox.guest import ledger
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

REFUSED = 2  # exit code
LIMIT_S = 180  # of every wait; other beds may be at work on this machine
# the keeper writes these at any time
SHOWN = ("DR_STATE", "DR_ROLE", "DR_MESSAGE", "DR_RECOVERY_POINT", "DR_PROTECTED")


@dataclass
class Ground:
    """A VM at site A whose disk has a complete copy and a recovery point at site B."""

    sites: Sites
    vm: int
    disk: str


@pytest.fixture(scope="module")
def ground(sites: Sites) -> Iterator[Ground]:
    a, b = sites.a, sites.b
    vm = w.create_vm(a, "worker", [w.create_image(a, "disk")], f'NIC=[NETWORK="{NETWORK}",IP="192.0.2.40"]\n')
    disk = w.vm_disks(a, vm)[0]
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    w.wait_complete(a, [disk])
    w.wait_point(b, ["worker"])
    w.wait_writing(a, vm)
    yield Ground(sites, vm, disk)


def world(sites: Sites) -> Any:
    """Roles at both sites; images, VMs and attributes at site B but for those that show the state."""
    b = sites.b
    roles = []
    for cloud in (sites.a, b):
        with w.open_pool(cloud) as pool:
            roles.append(w.primaries(pool))
    images = [(image.ID, image.NAME, image.STATE) for image in b.api.imagepool.info(-2, -1, -1).IMAGE]
    vms = [(vm.ID, vm.NAME, vm.STATE) for vm in b.api.vmpool.info(-2, -1, -1, -2).VM]
    shown = dict(b.api.datastore.info(b.datastore_id).TEMPLATE)
    return roles, images, vms, {key: value for key, value in shown.items() if key not in SHOWN}


def refuse(ground: Ground, *options: str) -> str:
    """Run a failover that must be refused and change nothing; its reason."""
    b = ground.sites.b
    before = world(ground.sites)
    done = b.run("onedr", "failover", str(b.datastore_id), "--yes", "--json", *options, check=False)
    assert done.returncode == REFUSED, done.stdout + done.stderr
    assert world(ground.sites) == before
    return done.stderr.strip().splitlines()[-1]


def test_a_dry_run_shows_the_plan_and_changes_nothing(ground: Ground) -> None:
    b = ground.sites.b
    before = world(ground.sites)
    plan = b.onedr("failover", str(b.datastore_id), "--dry-run", "--confirm", DATASTORE)
    assert world(ground.sites) == before
    assert [vm["name"] for vm in plan["vms"]] == ["worker"] and not plan["refusal"]
    assert plan["vms"][0]["recovery_point"] and plan["vms"][0]["expected_loss_s"] is not None
    assert [step["kind"] for step in plan["steps"]] == [
        "fence",
        "promote",
        "term",
        "register",
        "create",
        "start",
    ]


def dry_run(ground: Ground) -> Any:
    b = ground.sites.b
    return b.onedr("failover", str(b.datastore_id), "--dry-run", "--confirm", DATASTORE)


def test_an_address_taken_here_is_found_before_anything_is_changed(ground: Ground) -> None:
    api = ground.sites.b.api
    network = next(found.ID for found in api.vnpool.info(-2, -1, -1).VNET if found.NAME == NETWORK)
    api.vn.hold(network, 'LEASES=[IP="192.0.2.40"]')
    try:
        plan = dry_run(ground)
        assert "192.0.2.40" in plan["vms"][0]["left_out"] and not plan["vms"][0]["starts"]
        assert {step["kind"] for step in plan["steps"]} == {"fence", "promote", "term", "register"}
    finally:
        api.vn.release(network, 'LEASES=[IP="192.0.2.40"]')
    assert not dry_run(ground)["left_out"]


def test_a_missing_network_is_found_before_anything_is_changed(ground: Ground) -> None:
    b = ground.sites.b
    network = next(found.ID for found in b.api.vnpool.info(-2, -1, -1).VNET if found.NAME == NETWORK)
    b.api.vn.rename(network, "elsewhere")
    try:
        assert f"no counterpart here: create '{NETWORK}'" in dry_run(ground)["vms"][0]["left_out"]
        b.api.datastore.update(b.datastore_id, f'DR_NETWORK_MAP="{NETWORK}=elsewhere"', 1)
        assert not dry_run(ground)["left_out"]
    finally:
        b.api.vn.rename(network, NETWORK)
        b.api.datastore.update(b.datastore_id, "DR_NETWORK_MAP=[]", 1)


def test_hosts_without_room_are_told_of_before_anything_is_changed(ground: Ground) -> None:
    b = ground.sites.b
    host = b.api.hostpool.info().HOST[0].ID
    b.api.host.status(host, 1)  # disabled
    try:
        until("the host to be disabled", lambda: b.api.host.info(host).STATE == 4, LIMIT_S)
        assert any("no host here has room" in warning for warning in dry_run(ground)["vms"][0]["warnings"])
    finally:
        b.api.host.status(host, 0)
    until("the host to be enabled", lambda: b.api.host.info(host).STATE == 2, LIMIT_S)


def test_it_is_refused_while_the_peers_ceph_answers(ground: Ground) -> None:
    assert "must be confirmed" in refuse(ground)


def test_a_wrong_confirmation_is_refused(ground: Ground) -> None:
    assert "is not this datastore's name" in refuse(ground, "--confirm", "another")


def test_a_run_in_progress_is_named_with_its_owner(ground: Ground) -> None:
    with w.open_pool(ground.sites.b) as pool, journal.Run(pool, "failover"):
        assert runs_lease.me() in refuse(ground, "--confirm", DATASTORE)


@pytest.mark.parametrize(("attributes", "reason"), [
    ('DR_ACTION="EXPLODE"', "DR_ACTION=EXPLODE is not known"),
    ('DR_ACTION="FAILOVER"', "must be confirmed"),
    ('DR_ACTION="FAILOVER"\nDR_CONFIRM="another"', "is not this datastore's name"),
], ids=["unknown verb", "no confirmation", "wrong confirmation"])
def test_an_attribute_that_asks_for_what_is_refused_is_taken_off_and_answered(
    ground: Ground, attributes: str, reason: str,
) -> None:
    b = ground.sites.b
    b.api.datastore.update(b.datastore_id, 'DR_MESSAGE="nothing yet"', 1)
    before = world(ground.sites)
    b.api.datastore.update(b.datastore_id, attributes, 1)
    b.wait_datastore(b.datastore_id, lambda now: reason in now.get("DR_MESSAGE", ""), LIMIT_S)
    shown = b.api.datastore.info(b.datastore_id).TEMPLATE
    assert not shown.get("DR_ACTION") and not shown.get("DR_CONFIRM")
    roles, images, vms, _ = world(ground.sites)
    assert (roles, images, vms) == before[:3]


def test_with_the_line_cut_the_status_answers_and_a_failover_wants_a_confirmation(ground: Ground) -> None:
    if ground.sites.real:
        pytest.skip("cutting the line is the bed's own doing")
    ground.sites.bed.cut()
    try:
        seen = json.loads(ground.sites.b.run("onedr", "status", DATASTORE, "--json").stdout)
        assert seen["peer"]["state"] == "unknown" and [vm["name"] for vm in seen["vms"]] == ["worker"]
        assert "must be confirmed" in refuse(ground)
    finally:
        ground.sites.bed.heal()


def test_a_living_peer_is_fenced_before_anything_is_promoted(ground: Ground) -> None:
    """Comes last. The guest at site A runs on, but what it writes reaches no disk any more."""
    a, b = ground.sites.a, ground.sites.b
    done = b.run("onedr", "failover", str(b.datastore_id), "--confirm", DATASTORE, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [event["kind"] for event in events if event["event"] == "step"]
    assert kinds.index("fence") < kinds.index("promote")
    print(
        f"\nfenced and taken over in {events[-1]['seconds']} s: "
        f"{[(e['kind'], e['seconds']) for e in events if 'kind' in e]}"
    )
    assert events[-1]["event"] == "verdict" and not events[-1]["failed"]
    with w.open_pool(a) as here, w.open_pool(b) as there:
        assert w.primaries(here)[ground.disk] is False and w.primaries(there)[ground.disk] is True
        with pytest.raises(rbd.Error), here.image(ground.disk) as image:
            image.write(b"x" * 512, 0)
        new = next(vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.NAME == "worker")
        w.wait_writing(b, new)
        until(
            "the guest at site A to notice",
            lambda: "ERR vda" in w.console(a, ground.vm).read_text(errors="replace"),
            LIMIT_S,
        )
        told = w.told(a, ground.vm)
        b.api.vm.action("poweroff-hard", new)
        b.wait_vm(new, "POWEROFF")
        with there.image(ground.disk, read_only=True) as image:
            assert ledger.lost(told, ledger.read_image(image)) == [], (
                "the fence came after all that the guest was told"
            )
