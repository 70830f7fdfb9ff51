"""What a failover refuses, with the reason and without a trace; and what it does to a peer that is alive
(docs/design.md, "Rules of failover").
"""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyone
import pytest
import rbd
import workload as w

from onedr.model import settings as model_settings
from onedr.model.template import to_xml
from onedr.protection import pool_settings
from onedr.runs import datastore_message, journal
from onedr.runs import lease as runs_lease
from sandbox.cloud import DATASTORE, NETWORK, Cloud
from sandbox.guest import ledger
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

REFUSED = 2  # exit code
LIMIT_S = 180  # of every wait; other beds may be at work on this machine
# the keeper writes these at any time
SHOWN = ("DR_STATE", "DR_ROLE", "DR_MESSAGE", "DR_RECOVERY_POINT", "DR_PROTECTED", "DR_SEQ")


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
        b.api.datastore.update(b.datastore_id, 'DR_NETWORK_MAP=""', 1)


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
    nothing_said(b)
    before = world(ground.sites)
    b.api.datastore.update(b.datastore_id, attributes, 1)
    b.wait_datastore(b.datastore_id, lambda now: reason in now.get("DR_MESSAGE", ""), LIMIT_S)
    shown = b.api.datastore.info(b.datastore_id).TEMPLATE
    assert not shown.get("DR_ACTION") and not shown.get("DR_CONFIRM")
    roles, images, vms, _ = world(ground.sites)
    assert (roles, images, vms) == before[:3]


def page(cloud: Cloud, **more: str) -> str:
    """The datastore's whole template, as a page that is opened now knows it and writes it back with `more`."""
    shown = {**cloud.api.datastore.info(cloud.datastore_id).TEMPLATE, **more}
    return to_xml(tuple((str(key), str(value or "")) for key, value in shown.items()))


def nothing_said(cloud: Cloud) -> None:
    """As it is when no action was refused lately."""
    with w.open_pool(cloud) as pool:
        datastore_message.forget(pool, cloud.datastore_id)
    cloud.api.datastore.update(cloud.datastore_id, 'DR_MESSAGE="nothing yet"', 1)


def said(cloud: Cloud, text: str) -> Any:
    """Wait until DR_MESSAGE says it; the attributes then."""
    return cloud.wait_datastore(cloud.datastore_id, lambda now: text in (now.get("DR_MESSAGE") or ""), LIMIT_S)


@pytest.mark.parametrize("append", [1, 0], ids=["append", "replace"])
def test_a_page_that_was_open_while_an_action_was_set_starts_nothing(ground: Ground, append: int) -> None:
    b = ground.sites.b
    b.wait_datastore(b.datastore_id, lambda now: bool(now.get("DR_SEQ")), LIMIT_S)
    old = page(b, DR_ACTION="FAILOVER", DR_CONFIRM=DATASTORE, DR_NOTE="unrelated", DR_MESSAGE="as it was")
    b.api.datastore.update(b.datastore_id, f'DR_ACTION="FAILOVER"\nDR_CONFIRM="first {append}"', 1)
    said(b, f"'first {append}' is not this datastore's name")
    before = world(ground.sites)
    b.api.datastore.update(b.datastore_id, old, append)
    shown = said(b, "old page")
    assert not shown.get("DR_ACTION") and not shown.get("DR_CONFIRM") and shown["DR_NOTE"] == "unrelated"
    assert world(ground.sites)[:3] == before[:3]
    b.api.datastore.update(b.datastore_id, f'DR_ACTION="FAILOVER"\nDR_CONFIRM="by hand {append}"', 1)
    said(b, f"'by hand {append}' is not this datastore's name")


def test_a_request_id_counts_once(ground: Ground) -> None:
    b = ground.sites.b
    nothing_said(b)
    for answer in ("is not this datastore's name", "DR_REQUEST was used before"):
        text = 'DR_ACTION="FAILOVER"\nDR_CONFIRM="another"\nDR_REQUEST="r-1"\nDR_MESSAGE="nothing yet"'
        b.api.datastore.update(b.datastore_id, text, 1)
        said(b, answer)
    b.onedr("reconcile", str(b.datastore_id))
    shown = b.api.datastore.info(b.datastore_id).TEMPLATE["DR_MESSAGE"]
    assert shown.startswith("Receives replicas") and "DR_REQUEST was used before" in shown, "beside the state"


def test_what_an_update_of_the_whole_template_took_away_comes_back(ground: Ground) -> None:
    a = ground.sites.a
    a.api.datastore.update(a.datastore_id, "DR_RPO=20m", 1)
    a.wait_datastore(a.datastore_id, lambda now: bool(now.get("DR_SEQ")), LIMIT_S)
    known = dict(a.api.datastore.info(a.datastore_id).TEMPLATE)
    until("the pool to know it", lambda: pool_knows(a).get("DR_RPO") == "20m", LIMIT_S)
    a.api.datastore.update(a.datastore_id, a.ceph_attributes() + 'SAFE_DIRS="/var/tmp /tmp"\n', 0)
    shown = a.wait_datastore(a.datastore_id, lambda now: now.get("DR_PROTECT") == "YES", LIMIT_S)
    settings = [key for key in known if key in model_settings.KEYS or key in ("LN_TARGET", "CLONE_TARGET")]
    assert {key: shown.get(key) for key in settings} == {key: known[key] for key in settings}
    assert "put back" in shown["DR_MESSAGE"]
    new = w.rbd_name(a, w.create_image(a, "after"))
    with w.open_pool(a) as here:
        assert w.primaries(here)[new]
    a.wait_datastore(a.datastore_id, lambda now: now.get("DR_STATE") in ("PROTECTED", "PROTECTING"), LIMIT_S)
    a.api.datastore.update(a.datastore_id, 'DR_RPO=""', 1)
    until("the pool to forget it", lambda: "DR_RPO" not in pool_knows(a), LIMIT_S)


def pool_knows(cloud: Cloud) -> Mapping[str, str]:
    with w.open_pool(cloud) as pool:
        known = pool_settings.read_known(pool, cloud.datastore_id)
    return known.settings if known is not None else {}


def test_users_set_their_own_attributes_and_not_onedrs_marks(ground: Ground) -> None:
    a = ground.sites.a
    vm, mark = ground.vm, 'DR_LOCKED_STATE="ACTIVE"\n'
    owner = a.api.vm.info(vm).UID
    user = a.api.user.allocate("greta", "password-of-greta", "core", [])
    own = pyone.OneServer(a.endpoint, session="greta:password-of-greta")
    a.api.vm.update(vm, mark, 1)
    a.api.vm.chown(vm, user, -1)
    try:
        for text, way in (("DR_ORIGIN=x", 1), ("DR_LOCKED_STATE=POWEROFF", 1), ("DR_LOCKED_STATE=POWEROFF", 0)):
            with pytest.raises(pyone.OneException, match="restricted attribute"):
                own.vm.update(vm, text, way)
        own.vm.update(vm, f'{mark}DR_PRIORITY="2"\nDR_START="NO"\n', 1)
        own.vm.update(vm, 'DR_PRIORITY="3"\n', 0)
        shown = a.api.vm.info(vm).USER_TEMPLATE
        assert (shown["DR_PRIORITY"], shown["DR_LOCKED_STATE"]) == ("3", "ACTIVE")
        assert "DR_START" not in shown
    finally:
        a.api.vm.chown(vm, owner, -1)
        a.api.vm.update(vm, "DR_PRIORITY=3", 0)
    found = json.loads(a.run("onedr", "check", "--json", check=False).stdout)
    assert "users cannot change OneDR's own marks" in json.dumps(found)


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
        f"{[(e['kind'], e['seconds']) for e in events if e['event'] == 'step']}"
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
