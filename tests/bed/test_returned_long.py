"""What a return looks like in snapshot mode."""
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.ceph import mirror_schedule
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


def run(cloud: Cloud, *argv: str) -> dict[str, Any]:
    """Last event of `onedr VERB DATASTORE …`, which must end well."""
    done = cloud.run("onedr", argv[0], str(cloud.datastore_id), *argv[1:], "--json", check=False, limit_s=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def vm_of(cloud: Cloud, name: str) -> int:
    return next(int(vm.ID) for vm in cloud.api.vmpool.infoextended(-2, -1, -1, -1).VM if name == vm.NAME)


def start(sites: Sites) -> tuple[int, str]:
    """One VM at site A that writes, with a complete copy at site B. Returns its id and its disk."""
    a, b = sites.a, sites.b
    w.introduce(b, a)
    w.introduce(a, b)
    vm = w.create_vm(a, "db", [w.create_image(a, "disk")])
    with w.open_pool(b) as there:
        w.wait_recorded(a, vm, there)
    (disk,) = w.vm_disks(a, vm)
    w.wait_complete(a, [disk], 120)
    w.wait_writing(a, vm)
    return vm, disk


def fail_over(sites: Sites) -> int:
    sites.kill_a()
    run(sites.b, "failover", "--confirm", DATASTORE, "--yes")
    vm = vm_of(sites.b, "db")
    sites.b.wait_vm(vm)
    w.wait_writing(sites.b, vm)
    return vm


def test_in_snapshot_mode(sites: Sites) -> None:
    sites.need_a_back()
    a, b = sites.a, sites.b
    for cloud in (a, b):
        cloud.api.datastore.update(cloud.datastore_id, 'DR_MODE="SNAPSHOT"\nDR_SCHEDULE="1m"', 1)
    home, disk = start(sites)
    away = fail_over(sites)
    sites.return_a(frontend=False)
    divergent = w.digest(a, disk)
    done = a.run("onedr", "guard", "--json")
    assert json.loads(done.stdout)["demoted"] == [disk]
    sites.return_a()
    assert run(a, "reprotect", "--yes")["state"] == "STANDBY"
    (kept,) = json.loads(a.run("onedr", "kept", str(a.datastore_id), "--json").stdout)
    assert w.digest(a, kept["name"]) == divergent
    b.onedr("reconcile", str(b.datastore_id))
    with w.open_pool(b) as there:
        assert disk in mirror_schedule.schedules(there), "its mirror snapshots are made here now"
    b.wait_datastore(b.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED", 180)
    until("a record of the VM at home", lambda: recorded(a, b, away), 180, 1)
    run(a, "failback", "--yes")
    told = w.told(b, away)[-1].number
    a.wait_vm(home)
    w.wait_writing(a, home)
    assert told + 1 in {record.number for record in w.told(a, home)}, "it goes on where it ended there"


def recorded(here: Cloud, there: Cloud, vm: int) -> bool:
    """Has the record of the other site's VM arrived here?"""
    with w.open_pool(here) as pool:
        return w.recorded(there, vm, pool)
