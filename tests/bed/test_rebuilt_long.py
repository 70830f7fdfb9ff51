"""A site that was rebuilt empty takes part like one that came back."""
from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import workload as w
from test_planned import introduce
from test_returned_long import fail_over, recorded, run, start, vm_of

from onedr.ports import mirror
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
    with w.open_pool(b) as there:
        for peer in mirror.peers(there):
            there.rbd.mirror_peer_remove(there.io, peer)
    bed.up()
    a.furnish()
    introduce(b, a)
    introduce(a, b)
    assert run(a, "reprotect", "--yes")["state"] == "STANDBY"
    until("a record of the VM at home", lambda: recorded(a, b, away), 120, 1)
    run(a, "failback", "--yes")
    told = w.told(b, away)[-1].number
    back = vm_of(a, "db")
    a.wait_vm(back)
    w.wait_writing(a, back)
    assert told + 1 in {record.number for record in w.told(a, back)}, "it goes on where it ended there"
