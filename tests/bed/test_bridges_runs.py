"""Site B reaches Ceph only over a bridge host: a drill, a move and a failover there, all begun as usual.

Its CEPH_CONF is a file that is to be found on the bridge alone.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import workload as w
from beds import Sites, furnish
from bridge_host import Bridges, bridges, only_by_bridge
from drills import NETWORK as DRILL_NETWORK
from drills import make_network, site_as_it_is
from production import Production, produce

from sandbox.cloud import DATASTORE, NETWORK, Cloud, of_site
from sandbox.temporary import temporary
from sandbox.waiting import until

HOLD = 2
LIMIT_S = 300  # of every wait; other beds may be at work on this machine
OWN = f'NIC=[NETWORK="{NETWORK}"]\nCONTEXT=[NETWORK="YES",ROLE="main"]\nNOTE="kept"\n'


@dataclass(frozen=True)
class Ground:
    """A production at site A; site B knows Ceph only by the bridge."""

    made: Production
    line: Bridges

    @property
    def a(self) -> Cloud:
        return self.made.sites.a

    @property
    def b(self) -> Cloud:
        return self.made.sites.b

    def here(self, name: str) -> Any:
        """The VM at site B, whole."""
        found = [vm.ID for vm in self.b.api.vmpool.infoextended(-2, -1, -1, -1).VM if name == vm.NAME]
        assert len(found) == 1, f"{name} is there {len(found)} times"
        return self.b.api.vm.info(found[0])


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("bridge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")  # of the front-ends too
        with temporary(frontends=True) as bed, bridges(folder, bed.sites["site-b"], ("bridge-1",)) as line:
            a, b = (of_site(site) for site in bed.sites.values())
            furnish(a, b)
            w.introduce(a, b)
            w.introduce(b, a)
            make_network(b)
            made = produce(Sites(bed, a, b, False), more={"db": OWN, "web": OWN})
            only_by_bridge(b, line)
            yield Ground(made, line)


def asked_by_attribute(ground: Ground, verb: str, more: str = "") -> dict[str, Any]:
    """Set DR_ACTION at site B, wait for the run's end; its journal."""
    b = ground.b
    b.api.datastore.update(b.datastore_id, f'DR_ACTION="{verb.upper()}"\n{more}', 1)

    def ended() -> bool:
        run = w.last_run(b)
        return run.get("verb") == verb and run["result"] != "RUNNING"

    until(f"the end of the {verb}", ended, LIMIT_S, 1)
    shown = b.api.datastore.info(b.datastore_id).TEMPLATE
    assert not shown.get("DR_ACTION") and not shown.get("DR_CONFIRM")
    return w.last_run(b)


def as_it_was(ground: Ground, name: str) -> None:
    found = ground.here(name)
    assert found.TEMPLATE["CONTEXT"]["ROLE"] == "main"
    assert found.USER_TEMPLATE["NOTE"] == "kept"
    w.wait_writing(ground.b, found.ID)


def test_a_drill_passes_and_its_cleanup_leaves_nothing(ground: Ground) -> None:
    b, before = ground.b, site_as_it_is(ground.b)
    done = b.run("onedr", "drill", "start", DATASTORE, "--json", check=False)
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert verdict["event"] == "verdict" and verdict["drill"] == "PASSED", (done.returncode, verdict, done.stderr)
    drilled = [vm for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM if vm.USER_TEMPLATE.get("DR_DRILL")]
    assert len(drilled) == len(ground.made.vms)
    nics = [vm.TEMPLATE["NIC"] for vm in drilled if vm.TEMPLATE.get("NIC")]
    assert nics and all(nic["NETWORK"] == DRILL_NETWORK for nic in nics)
    report = b.onedr("drill", "report", DATASTORE)
    assert report["result"] == "PASSED"
    cleaned = b.onedr("drill", "cleanup", DATASTORE, check=False)
    assert cleaned["event"] == "verdict" and not cleaned["failed"], cleaned
    assert site_as_it_is(b) == before


def test_a_move_that_the_attribute_asks_for(ground: Ground) -> None:
    a, b = ground.a, ground.b
    run = asked_by_attribute(ground, "move")
    assert (run["result"], run["failed"]) == ("DONE", {}), run["message"]
    with w.open_pool(a) as here, w.open_pool(b) as there:
        roles, ours = w.primaries(here), w.primaries(there)
    assert all(ours[disk] and not roles[disk] for disk in ground.made.all_disks)
    for name in ("db", "web"):
        as_it_was(ground, name)
        assert a.api.vm.info(ground.made.vms[name]).LOCK
    done = a.run("onedr", "failback", DATASTORE, "--yes", "--json", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("db", "web"):
        w.wait_writing(a, ground.made.vms[name])


def test_a_failover_that_the_attribute_asks_for(ground: Ground) -> None:
    """Comes last: site A dies. A VM that was never deployed comes too: its record is on the base of its disk."""
    a, base = ground.a, ground.made.images["base"]
    a.api.vm.allocate(f"NAME=held\n{w.SMALL}DISK=[IMAGE_ID={base}]\n", True)
    w.wait_point(ground.b, ["db", "web", "held"], limit_s=LIMIT_S)
    ground.made.sites.kill_a()
    run = asked_by_attribute(ground, "failover", f'DR_CONFIRM="{DATASTORE}"\n')
    assert (run["result"], run["failed"]) == ("DONE", {}), run["message"]
    for name in ("db", "web"):
        as_it_was(ground, name)
    held = ground.here("held")
    assert held.STATE == HOLD and held.TEMPLATE["DISK"]["CLONE"] == "YES"
