"""Drills in snapshot mode, and beside a peer that goes silent in the midst of one."""
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import workload as w
from drills import make_network, site_as_it_is

from onedr.model import names
from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = pytest.mark.long


def test_a_drill_in_snapshot_mode_and_a_cleanup_that_the_peer_does_not_answer(sites: Sites) -> None:
    a, b = sites.a, sites.b
    for cloud in (a, b):
        cloud.api.datastore.update(cloud.datastore_id, 'DR_MODE="SNAPSHOT"\nDR_SCHEDULE="1m"', 1)
    make_network(b)
    image = w.create_image(a, "disk")
    vm = w.create_vm(a, "db", [image])
    disk = w.rbd_name(a, image)
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    w.wait_complete(a, [disk])
    w.wait_point(b, ["db"])
    w.wait_writing(a, vm, 5)
    before = {cloud.name: site_as_it_is(cloud) for cloud in (a, b)}
    assert b.onedr("drill", "start", DATASTORE)["drill"] == "PASSED"
    report = b.onedr("drill", "report", DATASTORE)
    tag = report["drill"]
    with w.open_pool(a) as here, w.open_pool(b) as there:
        sums = []
        for pool in (here, there):
            with pool.image(disk, read_only=True) as opened:
                opened.set_snap(tag)
                sums.append(opened.read(0, opened.size()))
        assert sums[0] == sums[1], "the snapshot's data had arrived with it"
        assert names.drill_clone(tag, disk) in there.names()
    points = report["images"][0]["recovery_points"]
    assert points["before"] < points["after"]
    sites.bed.cut()
    try:
        part = b.onedr("drill", "cleanup", DATASTORE, check=False)
        assert "the peer" in part["failed"] and f"{disk}@{tag}" in part["failed"], part
        assert not [vm.NAME for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM]
    finally:
        sites.bed.heal()
    until("the peer", lambda: w.status(b)["peer"]["state"] == "answers", 60, 0.5)
    ended = b.onedr("drill", "cleanup", DATASTORE)
    assert ended["failed"] == {}, ended
    assert {cloud.name: site_as_it_is(cloud) for cloud in (a, b)} == before
    a.api.vm.action("poweroff-hard", vm)
    a.wait_vm(vm, "POWEROFF")
    with w.open_pool(a) as here, w.open_pool(b) as there:
        until("equal copies", lambda: w.digest_in(here, disk) == w.digest_in(there, disk), 120, 1)
