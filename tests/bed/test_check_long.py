"""`onedr check` in snapshot mode, with the probe through the command, and after a failover: minutes, so apart from test_check."""
from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from test_check import Checked, check, reconcile

from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = pytest.mark.long
LIMIT_S = 180


@pytest.fixture(scope="module")
def disks(sites: Sites) -> Iterator[list[str]]:
    """A datastore in snapshot mode at both sites, with a VM at site A."""
    a, b = sites.a, sites.b
    w.introduce(a, b)
    w.introduce(b, a)
    for cloud in (a, b):
        cloud.api.datastore.update(cloud.datastore_id, 'DR_MODE="SNAPSHOT"\nDR_SCHEDULE="1m"', 1)
    images = [w.create_image(a, "base", persistent=False), w.create_image(a, "disk")]
    vm = w.create_vm(a, "one", images)
    for cloud in (a, b):
        reconcile(cloud)
    found = w.vm_disks(a, vm)
    w.wait_complete(a, found)
    yield found


def problems(found: Checked) -> set[str]:
    return found.of("problem")


def test_snapshot_mode_has_no_problem_and_is_warned_of_until_it_is_probed(sites: Sites, disks: list[str]) -> None:
    a = sites.a
    found = check(a, DATASTORE)
    assert problems(found) == set() and "TRADE" in found.of("warning"), found.findings
    assert "was never probed" in found.text("TRADE") and "--probe" in found.text("TRADE")
    found = check(a, DATASTORE, "--probe")
    assert problems(found) == set() and "TRADE" not in found.of("warning"), found.findings
    assert "flattened first" in found.text("TRADE")
    if "Ceph 16.2.15" in found.text("TRADE"):
        assert "copies of clones would be damaged" in found.text("TRADE")
    assert found.text("TRADE") == check(sites.b, DATASTORE).text("TRADE"), "both sites know the verdict"


def test_an_image_without_a_schedule(sites: Sites, disks: list[str]) -> None:
    a = sites.a
    found: list[Any] = []

    def told() -> bool:
        """A keeper may set it again before the check has looked."""
        argv = ["rbd", "mirror", "snapshot", "schedule", "remove", "--pool", "one", "--image", disks[0]]
        sites.bed.run("site-a", argv, check=True, capture_output=True)
        found[:] = [check(a, DATASTORE)]
        return "SCHEDULES" in problems(found[0])

    until("the schedule to be missed", told, LIMIT_S, 0.1)
    assert problems(found[0]) == {"SCHEDULES"} and disks[0] in found[0].text("SCHEDULES"), found[0].findings
    reconcile(a)
    assert problems(check(a, DATASTORE)) == set()


@pytest.mark.parametrize("daemon", ["mon", "osd"])
def test_its_own_ceph_dead_a_site_says_so_and_what_else_it_knows(sites: Sites, disks: list[str], daemon: str) -> None:
    sites.bed.stop("site-b", daemon)
    try:
        found = check(sites.b)
    finally:
        sites.bed.start("site-b", daemon)
    own = {finding["code"] for finding in found.findings if finding["level"] == "ok"}
    assert {"STATE"} <= problems(found) <= {"CEPH", "STATE"}, found.findings
    assert {"ONED", "DRIVERS", "NETWORK_MAP"} <= own and not {"UNPROTECTED", "STARTS_HERE", "PEERING"} & own, found.findings
    until("site-b to answer again", lambda: not problems(check(sites.b, DATASTORE)), LIMIT_S, 1)


def test_its_manager_dead_a_site_tells_what_it_does_not_know(sites: Sites, disks: list[str]) -> None:
    sites.bed.stop("site-a", "mgr")
    try:
        found = check(sites.a, DATASTORE)
    finally:
        sites.bed.start("site-a", "mgr")
    assert "SCHEDULES" in found.of("warning"), found.findings
    assert "SCHEDULES" not in found.of("ok")


def test_without_the_peers_front_end_the_clocks_are_compared_by_ceph(sites: Sites, disks: list[str]) -> None:
    a = sites.a
    file = a.one_location / "etc/onedr/onedr.conf"
    text = file.read_text()
    file.unlink()
    try:
        found = check(a)
    finally:
        file.write_text(text)
    assert {"PEER_FRONT_END", "STARTS_THERE", "FAILBACK"} <= found.of("warning")
    assert "between" in found.text("CLOCK") or "agree" in found.text("CLOCK"), found.findings
    assert problems(found) == set(), found.findings


def test_with_profile_rbd_alone_what_may_not_be_read_is_told(sites: Sites, disks: list[str]) -> None:
    a = sites.a
    profile = ["mon", "profile rbd", "osd", "profile rbd", "mgr", "profile rbd"]
    get = ["ceph", "auth", "get", "client.oneadmin", "--format", "json"]
    before = sites.bed.run("site-a", get, check=True, capture_output=True)
    caps = json.loads(before.stdout)[0]["caps"]
    sites.bed.run("site-a", ["ceph", "auth", "caps", "client.oneadmin", *profile], check=True, capture_output=True)
    try:
        found = check(a, DATASTORE)
    finally:
        restored = [word for pair in caps.items() for word in pair]
        sites.bed.run("site-a", ["ceph", "auth", "caps", "client.oneadmin", *restored], check=True, capture_output=True)
    assert {"PEER", "PEER_READ", "NAMES", "SITE_INDEX", "RECORD_KEYS", "TRADE"} <= found.of("warning"), found.findings
    assert problems(found) == set(), found.findings


def test_after_a_failover_both_sites_say_what_comes_next(sites: Sites, disks: list[str]) -> None:
    """Last: site A is lost, site B takes over, and site A comes back."""
    a, b = sites.a, sites.b
    w.wait_point(b, ["one"], limit_s=LIMIT_S)
    sites.kill_a()
    assert problems(check(b, DATASTORE)) == {"PEER"}
    b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE)
    found = check(b, DATASTORE)
    assert {"PEER", "STATE"} <= problems(found) and "ACTIVE_UNPROTECTED" in found.text("STATE"), found.findings
    sites.bed.up()
    returned: list[Checked] = []

    def is_told() -> bool:
        returned[:] = [check(a, DATASTORE)]
        return "RETURNED" in returned[0].text("STATE")

    until("site A to know that it was overtaken", is_told, LIMIT_S, 1)
    assert f"onedr reprotect {DATASTORE}" in returned[0].text("STATE"), returned[0].findings
