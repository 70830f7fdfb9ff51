"""A site that was rebuilt empty takes part like one that came back."""
from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import rbd
import workload as w
from test_returned_long import fail_over, recorded, run, start, vm_of

from sandbox.ceph.cluster import connect
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_a_site_that_was_rebuilt_empty(sites: Sites) -> None:
    """New clusters and front-ends under the old names: nothing is left of what was there."""
    if sites.real:
        pytest.skip("the bed does not build a real front-end anew")
    a, b, bed = sites.a, sites.b, sites.bed
    start(sites)
    away = fail_over(sites)
    shutil.rmtree(bed.sites["site-a"].folder)
    with connect(bed.sites["site-b"]) as cluster, cluster.open_ioctx("one") as there:
        for peer in list(rbd.RBD().mirror_peer_list(there)):
            rbd.RBD().mirror_peer_remove(there, peer["uuid"])
    bed.up()
    a.furnish()
    w.introduce(b, a)
    w.introduce(a, b)
    done = a.run("onedr", "reprotect", str(a.datastore_id), "--yes", check=False)
    assert done.returncode in (0, 2), done.stderr  # 2: all copies had arrived by then
    assert w.status(a)["state"] == "STANDBY" and all(disk["complete"] for disk in w.status(a)["disks"])
    until("a record of the VM at home", lambda: recorded(a, b, away), 120, 1)
    run(a, "failback", "--yes")
    told = w.told(b, away)[-1].number
    back = vm_of(a, "db")
    a.wait_vm(back)
    w.wait_writing(a, back)
    assert told + 1 in {record.number for record in w.told(a, back)}, "it goes on where it ended there"
