"""What a failover refuses, with the reason and without a trace; and what it does to a peer that is alive
(docs/design.md, "Rules of failover").
"""
from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import documents
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
SHOWN = ("DR_STATE", "DR_ROLE", "DR_MESSAGE", "DR_RECOVERY_POINT", "DR_PROTECTED", "DR_SEQ", "DR_DOCUMENT")


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


def test_the_document_shows_the_vm_and_what_this_state_allows(ground: Ground) -> None:
    b = ground.sites.b
    plan_of(b, "MOVE", "r-first")  # who asks for a plan looks: the keeper does too
    found = documents.wait(b, "the VM in the document", lambda seen: bool(rows(seen)), LIMIT_S)["STATUS"]
    assert (found["state"], found["role"], found["datastore"]["name"]) == ("STANDBY", "secondary", DATASTORE)
    (row,) = found["vms"]["rows"]
    assert (row["name"], row["id"], row["here"], row["starts"]) == ("worker", ground.vm, False, True)
    assert row["recovery_point"] and row["loss_s"] is not None and not row["obstacles"]
    assert {"MOVE", "FAILOVER", "DRILL"} <= {action["action"] for action in found["actions"]}
    a = ground.sites.a
    plan_of(a, "REPROTECT", "r-there")  # before, it may be of the moment when a refused run held the lease here
    there = documents.wait(a, "no run", lambda seen: bool(rows(seen)) and not seen["STATUS"]["actions"], LIMIT_S)["STATUS"]
    assert there["vms"]["rows"][0]["here"] and "other site" in there["hint"]


def rows(seen: Mapping[str, Any]) -> Any:
    """Of the VMs in STATUS."""
    return (seen.get("STATUS") or {"vms": {"rows": []}})["vms"]["rows"]


def test_who_may_only_use_the_datastore_does_not_read_its_document(ground: Ground) -> None:
    b = ground.sites.b
    number = int(documents.shown(b).ID)
    before = b.api.datastore.info(b.datastore_id)
    group = b.api.group.allocate("operators")
    for name, groups in (("ines", [group]), ("otto", [])):
        b.api.user.allocate(name, f"password-of-{name}", "core", groups)
    ines, otto = (pyone.OneServer(b.endpoint, session=f"{name}:password-of-{name}") for name in ("ines", "otto"))
    refused = "Not authorized to perform USE DOCUMENT"
    b.api.datastore.chown(b.datastore_id, -1, group)
    try:
        b.api.datastore.chmod(b.datastore_id, 1, 1, 0, 1, 0, 0, 1, 0, 0)
        plan_of(b, "MOVE", "r-use")
        for own in (ines, otto):
            with pytest.raises(pyone.OneException, match=refused):
                own.document.info(number)
        b.api.datastore.chmod(b.datastore_id, 1, 1, 0, 1, 1, 0, 1, 0, 0)
        plan_of(b, "MOVE", "r-manage")
        assert json.loads(ines.document.info(number).TEMPLATE["PLAN"])["request"] == "r-manage"
        with pytest.raises(pyone.OneException, match="Not authorized to perform MANAGE DOCUMENT"):
            ines.document.update(number, 'PLAN="forged"', 1)
        with pytest.raises(pyone.OneException, match=refused):
            otto.document.info(number)
    finally:
        b.api.datastore.chown(b.datastore_id, -1, before.GID)
        rights = [getattr(before.PERMISSIONS, f"{who}_{right}") for who in ("OWNER", "GROUP", "OTHER") for right in "UMA"]
        b.api.datastore.chmod(b.datastore_id, *map(int, rights))


def plan_of(cloud: Cloud, verb: str, request: str) -> Any:
    """Ask for a plan as a page does, by one update that is appended; PLAN then."""
    text = f'DR_ACTION="PLAN"\nDR_PLAN="{verb}"\nDR_REQUEST="{request}"'
    cloud.api.datastore.update(cloud.datastore_id, text, 1)
    found = documents.wait(
        cloud, f"the plan {request}", lambda seen: (seen.get("PLAN") or {}).get("request") == request, LIMIT_S)
    attributes = cloud.api.datastore.info(cloud.datastore_id).TEMPLATE
    assert not any(attributes.get(key) for key in ("DR_ACTION", "DR_PLAN", "DR_REQUEST"))
    return found["PLAN"]


@pytest.mark.parametrize("verb", ["FAILOVER", "MOVE", "DRILL", "REPROTECT"])
def test_dr_action_plan_shows_what_a_dry_run_shows_and_changes_nothing(ground: Ground, verb: str) -> None:
    b = ground.sites.b
    nothing_said(b)
    before = world(ground.sites)
    found = plan_of(b, verb, f"r-{verb}")
    assert world(ground.sites)[:3] == before[:3]
    assert (found["verb"], found["error"], found["as_of"] > 0) == (verb, "", True)
    if verb == "FAILOVER":
        assert [row["name"] for row in found["vms"]["rows"]] == ["worker"] and found["steps"]
        assert found["confirm"] == f"{DATASTORE}:{dry_run(ground)['digest']}" and not found["refusal"]
    else:  # the peer's front-end is not known, nor a drill network, and there is nothing to reprotect
        assert not found["confirm"] and not found["steps"] and found["refusal"]
    assert "worker" not in b.api.datastore.info(b.datastore_id).TEMPLATE["DR_MESSAGE"]


def test_another_verb_is_not_planned_and_dr_message_says_which_are(ground: Ground) -> None:
    b = ground.sites.b
    nothing_said(b)
    b.api.datastore.update(b.datastore_id, 'DR_ACTION="PLAN"\nDR_PLAN="DISABLE"', 1)
    said(b, "DR_PLAN=DISABLE is none of MOVE")


def test_what_others_write_into_it_is_replaced_and_believed_by_no_one(ground: Ground) -> None:
    b = ground.sites.b
    number, other = int(documents.shown(b).ID), b.api.document.allocate('NAME="a service"\nBODY="mine"', 100)
    b.api.document.update(number, 'STATUS="null"\nPLAN="null"\nNOTE="forged"', 0)
    b.api.datastore.update(b.datastore_id, f"DR_DOCUMENT={other}", 1)
    found = plan_of(b, "FAILOVER", "r-forged")
    assert found["confirm"].startswith(DATASTORE)
    assert int(documents.shown(b).ID) == number
    assert b.api.document.info(other).TEMPLATE == {"BODY": "mine"}


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


@contextmanager
def watched(cloud: Cloud) -> Iterator[list[dict[str, Any]]]:
    """What the document shows while something runs, as a page that looks again and again sees it."""
    told: list[dict[str, Any]] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.05):
            told.append(documents.parts(cloud))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield told
    finally:
        over.set()
        thread.join()


def test_a_living_peer_is_fenced_before_anything_is_promoted(ground: Ground) -> None:
    """Comes last. The guest at site A runs on, but what it writes reaches no disk any more."""
    a, b = ground.sites.a, ground.sites.b
    confirm = plan_of(b, "FAILOVER", "r-last")["confirm"]
    with watched(b) as pages:
        done = b.run("onedr", "failover", str(b.datastore_id), "--confirm", confirm, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    running = [page["RUN"] for page in pages if page.get("RUN")]
    assert running and {run["verb"] for run in running} == {"failover"}
    planned = next(event for event in events if event["event"] == "plan")["steps"]
    assert running[0]["steps_total"] == len(planned) and running[0]["actions"][0]["action"] == "CANCEL"
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
    ended = documents.wait(b, "the run in the history", lambda seen: bool((seen.get("STATUS") or {}).get("runs")), LIMIT_S)
    run = ended["STATUS"]["runs"][0]
    assert (run["verb"], run["result"], run["rto_s"] > 0) == ("failover", "DONE", True)
    assert ended["RUN"] is None and ended["PLAN"] is None
    assert ended["STATUS"]["vms"]["rows"][0]["here"] and not ended["STATUS"]["actions"]
