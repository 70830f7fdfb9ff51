"""A drill at site B while site A goes on: its VMs come up on clones, apart, and then nothing of it is left.
"""
from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import documents
import pytest
import workload as w
from drills import NETWORK as DRILL_NETWORK
from drills import make_network, site_as_it_is, snapshots_of

from onedr.model import names
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, NETWORK, Cloud
from sandbox.guest import ledger
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

PORT = 8022


@dataclass
class Story:
    """Site A with two writing VMs and one that is off; what site B was like before, during and after the
    drill.
    """

    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    disks: dict[str, list[str]] = field(default_factory=dict)
    before: Any = None
    told_before: int = 0
    refused_early: str = ""
    on_clones: dict[str, set[str]] = field(default_factory=dict)  # metadata of each clone
    dry: dict[str, Any] = field(default_factory=dict)
    after_dry: Any = None
    verdict: dict[str, Any] = field(default_factory=dict)
    ended: float = 0.0
    drilled: dict[str, Any] = field(default_factory=dict)  # drill's VMs by name
    # on each clone, by the image it is of
    ledgers: dict[str, dict[str, list[ledger.Record]]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    page: str = ""
    shown: dict[str, Any] = field(default_factory=dict)  # REPORT of the datastore's document
    mirrored: set[str] = field(default_factory=set)
    status: dict[str, Any] = field(default_factory=dict)
    second: str = ""
    datastore: dict[str, Any] = field(default_factory=dict)
    cleanup: dict[str, Any] = field(default_factory=dict)
    after: Any = None


def prepare(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    images = {name: w.create_image(a, name, wait=False) for name in ("db-disk", "idle-disk")}
    images["base"] = w.create_image(a, "base", persistent=False, wait=False)
    for image in images.values():
        a.wait_image(image)
    nic = f'NIC=[NETWORK="{NETWORK}"]\n'
    story.vms["db"] = w.create_vm(a, "db", [images["db-disk"]], f"{nic}DR_PRIORITY=1\n", wait=False)
    story.vms["web"] = w.create_vm(
        a, "web", [images["base"]], f'{nic}NOTE="a <b> & c"\nCONTEXT=[NETWORK="YES"]\n', wait=False
    )
    story.vms["idle"] = w.create_vm(a, "idle", [images["idle-disk"]], wait=False)
    for vm in story.vms.values():
        a.wait_vm(vm)
    a.api.vm.action("poweroff-hard", story.vms["idle"])
    a.wait_vm(story.vms["idle"], "POWEROFF")
    with w.open_pool(b) as there:
        for name, vm in story.vms.items():
            w.wait_recorded(a, vm, there)
            story.disks[name] = w.vm_disks(a, vm)
    w.wait_complete(a, [disk for disks in story.disks.values() for disk in disks])
    w.wait_point(b, list(story.vms))
    for name in ("db", "web"):
        w.wait_writing(a, story.vms[name], 5)


def listener(cloud: Cloud) -> Any:
    """Something that accepts connections on every address of the site, as a guest's service would on its own.
    """
    import subprocess
    import sys

    code = (
        f"import socket; s = socket.create_server(('', {PORT})); print('up', flush=True)\nwhile True: "
        "s.accept()[0].close()"
    )
    child = subprocess.Popen([*cloud.prefix, sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "up\n"
    return child


@pytest.fixture(scope="module")
def story(sites: Sites, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The whole drill, to the end of its cleanup."""
    told, b = Story(sites), sites.b
    prepare(told)
    told.refused_early = b.run("onedr", "drill", "start", DATASTORE, check=False).stderr
    make_network(b)
    told.before = {cloud.name: site_as_it_is(cloud) for cloud in (sites.a, b)}
    told.told_before = len(w.told(sites.a, told.vms["db"]))
    told.dry = b.onedr("drill", "start", DATASTORE, "--dry-run")
    told.after_dry = {cloud.name: site_as_it_is(cloud) for cloud in (sites.a, b)}
    said = tmp_path_factory.mktemp("drill") / "said"
    program = tmp_path_factory.mktemp("program") / "check it"
    program.write_text(f'#!/bin/sh\necho "$ONEDR_VM_NAME $ONEDR_VM_IP $1" | tee -a {said}\n')
    program.chmod(0o755)
    service = listener(b)
    try:
        told.verdict = b.onedr(
            "drill",
            "start",
            DATASTORE,
            "--port",
            str(PORT),
            "--command",
            f"'{program}' '$(id) ; x'",
            check=False,
        )
    finally:
        service.kill()
        service.wait()
    told.ended = time.time()
    look_at_what_stands(told)
    told.cleanup = b.onedr("drill", "cleanup", DATASTORE, check=False)
    told.after = {cloud.name: site_as_it_is(cloud) for cloud in (sites.a, b)}
    told.report = b.onedr("drill", "report", DATASTORE)
    told.page = Path(told.report["files"]["page"]).read_text()
    told.shown = documents.parts(b)["REPORT"]
    yield told


def look_at_what_stands(told: Story) -> None:
    a, b = told.sites.a, told.sites.b
    pool = b.api.vmpool.infoextended(-2, -1, -1, -1).VM
    told.drilled = {vm.NAME: b.api.vm.info(vm.ID) for vm in pool}
    for name in ("drill-db", "drill-web"):
        w.wait_writing(b, told.drilled[name].ID, 3)
    w.wait_writing(a, told.vms["db"], 3)
    b.run("onedr", "reconcile", DATASTORE)
    with w.open_pool(b) as opened:
        for name in opened.names():
            found = names.parse_drill(name)
            if found:
                with opened.image(name, read_only=True) as image:
                    snapshot = ledger.read_image(image)
                with opened.image(found.image, read_only=True) as image:
                    told.ledgers[found.image] = {"clone": snapshot, "copy": ledger.read_image(image)}
        told.on_clones = {
            name: set(w.values_of(opened, name)) for name in opened.names() if names.parse_drill(name)
        }
        told.mirrored = set(w.primaries(opened))
    told.status = w.status(b)
    told.datastore = dict(b.api.datastore.info(b.datastore_id).TEMPLATE)
    told.second = b.run("onedr", "drill", "start", DATASTORE, check=False).stderr


def test_without_a_network_of_its_own_there_is_no_drill(story: Story) -> None:
    assert "set DR_DRILL_NETWORK" in story.refused_early


def test_a_dry_run_shows_the_steps_and_changes_nothing(story: Story) -> None:
    assert story.after_dry == story.before
    kinds = [step["kind"] for step in story.dry["steps"]]
    assert sorted(set(kinds), key=kinds.index) == [
        "snapshot",
        "arrive",
        "clone",
        "register",
        "create",
        "start",
        "check",
        "prove",
    ]


def test_the_drill_passes_and_says_so_on_the_datastore(story: Story) -> None:
    assert story.verdict["drill"] == "PASSED", story.verdict
    assert story.verdict["state"] == story.datastore["DR_STATE"] == "STANDBY"
    assert story.datastore["DR_LAST_DRILL"].endswith(" PASSED")


def test_its_vms_are_marked_and_in_the_drill_network_with_addresses_of_their_own(story: Story) -> None:
    assert set(story.drilled) == {"drill-db", "drill-web", "drill-idle"}
    tags = {vm.USER_TEMPLATE["DR_DRILL"] for vm in story.drilled.values()}
    assert len(tags) == 1 and names.parse_drill(tags.pop())
    for name in ("db", "web"):
        here, there = story.drilled[f"drill-{name}"], story.sites.a.api.vm.info(story.vms[name])
        assert here.USER_TEMPLATE["DR_PROTECT"] == "NO"
        assert here.TEMPLATE["NIC"]["NETWORK"] == DRILL_NETWORK
        assert here.TEMPLATE["NIC"]["IP"].startswith("127.0.9.")
        assert here.TEMPLATE["NIC"]["MAC"] != there.TEMPLATE["NIC"]["MAC"]
    assert story.drilled["drill-web"].USER_TEMPLATE["NOTE"] == "a <b> & c"


def test_a_vm_that_was_off_is_made_and_not_started(story: Story) -> None:
    assert not story.drilled["drill-idle"].HISTORY_RECORDS.HISTORY


def test_a_guest_goes_on_from_the_snapshot_and_production_does_not_see_it(story: Story) -> None:
    """Up to the snapshot both ledgers are one; behind it each guest wrote its own."""
    for name in ("db", "web"):
        found = story.ledgers[story.disks[name][0]]
        clone, copy = found["clone"], found["copy"]
        common = sum(1 for one, other in zip(clone, copy) if one == other)
        assert common >= 5, "what production had written is there"
        assert clone[:common] == copy[:common]
        assert len(clone) > common, "the drill's guest wrote on its clone"
        assert len(copy) > common, "production wrote on, and it arrived"


def test_what_production_acknowledged_before_the_snapshot_is_in_the_clone(story: Story) -> None:
    told = w.told(story.sites.a, story.vms["db"])
    disk = story.disks["db"][0]
    at = next(image["snapshot_at"] for image in story.report["images"] if image["image"] == disk)
    had = {(record.number, record.time_ms) for record in story.ledgers[disk]["clone"]}
    assert [
        record
        for record in told
        if record.time_ms < (at - 1) * 1000 and (record.number, record.time_ms) not in had
    ] == []


def test_the_recovery_points_advanced(story: Story) -> None:
    for image in story.report["images"]:
        points = image["recovery_points"]
        assert points["before"] <= points["during"]
        assert points["before"] < points["after"]
        assert story.report["cleanup"]["recovery_points"][image["image"]] > points["after"]


def test_the_status_neither_counts_nor_mirrors_what_is_the_drills(story: Story) -> None:
    assert story.status["state"] == "STANDBY"
    assert not {name for name in story.mirrored if names.parse_drill(name)}
    assert list(story.on_clones.values()) == [{"onedr.made"}] * 3, (
        "no record, neither inherited nor written by a hook"
    )
    assert not [entry for entry in story.status["unprotected"] if "drill" in entry["name"]]
    assert {disk["name"] for disk in story.status["disks"]} == set(story.before["site-b"][0])
    assert {vm["name"] for vm in story.status["vms"]} == {"db", "web", "idle"}


def test_a_second_drill_waits_for_the_cleanup_of_the_first(story: Story) -> None:
    assert f"onedr drill cleanup {DATASTORE}" in story.second


def test_the_report_has_times_checks_and_their_evidence(story: Story) -> None:
    report = story.report
    assert (report["result"], report["reasons"], report["datastore"]) == ("PASSED", [], DATASTORE)
    assert 0 < report["rto"]["measured_s"] <= report["rto"]["objective_s"] == 120
    found = {vm["name"]: vm for vm in report["vms"]}
    assert {name: vm["result"] for name, vm in found.items()} == {
        "db": "passed",
        "web": "passed",
        "idle": "not started",
    }
    for name in ("db", "web"):
        checks = {check["check"]: check for check in found[name]["checks"]}
        assert {check["result"] for check in checks.values()} == {"passed"}
        assert (
            "its own" not in checks["runs"]["evidence"]
            and "wrote to its disk" in checks["guest boots"]["evidence"]
        )
        address = found[name]["nics"][0]["ip"]
        assert f"{address}:{PORT} accepts connections" in checks[f"port {PORT}"]["evidence"]
        said = next(check["evidence"] for kind, check in checks.items() if kind.startswith("command"))
        assert f"{name} {address} $(id) ; x" in said, "its words went through no shell"
    assert all(report["versions"].values())


def test_the_page_is_whole_escaped_and_names_the_digest_of_the_json(story: Story) -> None:
    files = story.report["files"]
    assert files["sha256"] == hashlib.sha256(Path(files["json"]).read_bytes()).hexdigest()
    assert (
        files["sha256"] in story.page
        and "<script" not in story.page
        and "http" not in story.page.replace("http-equiv", "")
    )
    for text in ("Result: PASSED", DRILL_NETWORK, "db (", "recovery point", "nothing of the drill remains"):
        assert text in story.page, text
    for kind in ("json", "page"):
        assert Path(files[kind]).stat().st_mode & 0o777 == 0o640


def test_the_document_holds_the_page_with_what_the_cleanup_added(story: Story) -> None:
    assert story.shown["file"] == Path(story.report["files"]["page"]).name
    assert gzip.decompress(base64.b64decode(story.shown["page"])).decode() == story.page
    assert story.shown["datastore"]["id"] == story.sites.b.datastore_id


def test_an_altered_report_is_not_shown(story: Story) -> None:
    path = Path(story.report["files"]["json"])
    whole = path.read_text()
    try:
        path.write_text(whole.replace("PASSED", "PASSES"))
        assert (
            "was changed since OneDR wrote it"
            in story.sites.b.run("onedr", "drill", "report", DATASTORE, check=False).stderr
        )
    finally:
        path.write_text(whole)


def test_the_cleanup_leaves_both_sites_exactly_as_they_were(story: Story) -> None:
    assert story.cleanup["failed"] == {}, story.cleanup
    assert story.after == story.before


def test_the_cleanup_of_nothing_is_done(story: Story) -> None:
    again = story.sites.b.onedr("drill", "cleanup", DATASTORE)
    assert "nothing remains" in again["message"] and again["done"] == {}


@pytest.mark.parametrize(("kind", "first_at_the_peer"), [
    ("create", True), pytest.param("snapshot", False, marks=pytest.mark.long),
])
def test_a_drill_killed_midway_is_cleaned_up(story: Story, kind: str, first_at_the_peer: bool) -> None:
    """With half of its VMs, and with snapshots only; the first time the primary is cleaned first, as if site
    B were lost.
    """
    a, b = story.sites.a, story.sites.b
    child = w.start_action(b, Request("drill"))
    assert child.stdout is not None
    events = []
    for line in child.stdout:
        events.append(json.loads(line))
        if events[-1].get("kind") == kind:
            break
    child.kill()
    child.wait()
    assert events[-1].get("kind") == kind, events
    assert w.status(b)["state"] == "INTERRUPTED"
    assert site_as_it_is(a) != story.before["site-a"]
    assert "onedr drill cleanup" in b.run("onedr", "resume", DATASTORE, check=False).stderr
    if first_at_the_peer:
        assert site_as_it_is(b) != story.before["site-b"]
        assert a.onedr("drill", "cleanup", DATASTORE)["failed"] == {}
        assert site_as_it_is(a) == story.before["site-a"]
    ended = b.onedr("drill", "cleanup", DATASTORE)
    assert ended["failed"] == {} and ended["state"] == "STANDBY"
    assert {cloud.name: site_as_it_is(cloud) for cloud in (a, b)} == story.before
    until("the state", lambda: w.status(b)["state"] == "STANDBY", 30)


def test_production_went_on_and_its_copies_are_equal(story: Story) -> None:
    """After a whole drill and two that were killed; db writes on."""
    a, b = story.sites.a, story.sites.b
    assert len(w.told(a, story.vms["db"])) > story.told_before
    a.api.vm.action("poweroff-hard", story.vms["web"])
    a.wait_vm(story.vms["web"], "POWEROFF")
    with w.open_pool(a) as here, w.open_pool(b) as there:
        for disk in story.disks["web"] + story.disks["idle"]:
            until(
                f"{disk} equal",
                lambda disk=disk: w.digest_in(here, disk) == w.digest_in(there, disk),
                60,
                0.5,
            )
        assert all(w.primaries(here).values())
        assert not any(w.primaries(there).values())


def test_a_failover_goes_through_beside_a_standing_drill(story: Story) -> None:
    """Site A dies with a drill's VM up: production comes back beside it, and the drill is cleaned up
    afterwards.
    """
    sites, b = story.sites, story.sites.b
    until("db is known to run", lambda: running_there(b) == {"db"}, 60, 0.5)
    b.api.datastore.update(b.datastore_id, 'DR_ACTION="DRILL"', 1)
    until(
        "the drill's end",
        lambda: "drill" in str(w.last_run(b).get("run")) and w.last_run(b)["result"] == "DONE",
        120,
        0.5,
    )
    assert "A drill's VMs still exist" in w.status(b)["message"]
    sites.kill_a()
    ended = b.onedr("failover", DATASTORE, "--confirm", DATASTORE)
    assert ended["failed"] == {} and ended["state"] == "ACTIVE_UNPROTECTED", ended
    up = {vm.NAME: vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    assert set(up) == {"db", "web", "idle", "drill-db", "drill-web", "drill-idle"}
    for name in ("db", "drill-db"):
        w.wait_writing(b, up[name])
    cleaned = b.onedr("drill", "cleanup", DATASTORE)
    assert cleaned["failed"] == {}, cleaned
    assert {vm.NAME for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM} == {"db", "web", "idle"}
    with w.open_pool(b) as pool:
        assert not [name for name in pool.names() if names.parse_drill(name)]
        assert not [
            snap for name in pool.names() for snap in snapshots_of(pool, name) if names.parse_drill(snap)
        ]
        assert all(w.primaries(pool).values())
    w.wait_writing(b, up["db"])
    assert w.status(b)["state"] == "ACTIVE_UNPROTECTED"


def running_there(b: Cloud) -> set[str]:
    return {vm["name"] for vm in w.status(b)["vms"] if vm["state"] == "ACTIVE"}
