"""Both sites live, the line between them does not: one takes over, the line is mended, and the other gives way by itself."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import workload as w
from test_returned_long import recorded, run, start, vm_of

from sandbox.cloud import DATASTORE
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def test_a_site_that_was_only_cut_off_gives_way_when_the_line_is_mended(sites: Sites) -> None:
    a, b = sites.a, sites.b
    home, disk = start(sites)
    w.wait_point(b, ["db"], limit_s=60)
    sites.bed.cut()
    try:
        run(b, "failover", "--confirm", DATASTORE, "--yes")
        away = vm_of(b, "db")
        b.wait_vm(away)
        w.wait_writing(b, away)
        w.wait_writing(a, home, 3)  # twice alive, as nobody could know
    finally:
        sites.bed.heal()
    found = a.wait_vm(home, "POWEROFF", limit_s=180)
    until("the VM to be locked", lambda: a.api.vm.info(home).LOCK is not None, 60)
    assert found.USER_TEMPLATE.get("DR_LOCKED_STATE") == "ACTIVE"
    a.wait_datastore(a.datastore_id, lambda shown: shown.get("DR_STATE") == "RETURNED", 120)
    with w.open_pool(a) as here, w.open_pool(b) as there:
        until("site A to give way", lambda: not w.primaries(here)[disk], 60)  # its state may tell of it a moment before
        assert w.primaries(there)[disk]
    w.wait_writing(b, away)
    divergent = w.digest(a, disk)
    assert run(a, "reprotect", "--yes")["state"] == "STANDBY"
    (kept,) = json.loads(a.run("onedr", "kept", str(a.datastore_id), "--json").stdout)
    assert w.digest(a, kept["name"]) == divergent and kept["loss_s"] > 0
    until("a record of the VM at home", lambda: recorded(a, b, away), 120, 1)
    run(a, "failback", "--yes")
    told = w.told(b, away)[-1].number
    a.wait_vm(home)
    w.wait_writing(a, home)
    assert told + 1 in {record.number for record in w.told(a, home)}, "it goes on where it ended there"
