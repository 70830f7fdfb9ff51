"""`onedr pause` and `onedr resume-protection`: the copy stays as it is, which is said everywhere, and follows again."""
from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
import workload as w
from test_check import check
from test_returned_long import run, start

from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
STAYS_S = 40  # rbd-mirror reads its peers every 30 s


def rests(cloud: Cloud, name: str, seconds: float) -> bool:
    """Does an image stay as it is for so long?"""
    before, ends = w.digest(cloud, name), time.monotonic() + seconds
    while time.monotonic() < ends:
        if w.digest(cloud, name) != before:
            return False
    return True


def test_a_paused_datastore_keeps_its_copy_says_so_and_goes_on(sites: Sites) -> None:
    a, b = sites.a, sites.b
    vm, disk = start(sites)
    w.wait_point(b, ["db"], limit_s=60)
    assert w.status(a)["paused"] is False
    assert "is paused within a minute" in run(a, "pause")["message"]
    assert "was paused already" in run(b, "pause")["message"]
    asked_at = time.time()
    until("the copy to rest", lambda: rests(b, disk, 5), 120, 0.2)
    paused_at = time.time()
    print(f"the copy rested {paused_at - asked_at - 5:.0f} s after the pause, at most")
    told = w.told(a, vm)[-1].number
    assert rests(b, disk, STAYS_S) and w.told(a, vm)[-1].number > told
    here, there = w.status(a), w.status(b)
    assert (here["state"], here["code"], here["paused"]) == ("DEGRADED", "PAUSED", True)
    assert (there["state"], there["code"], there["paused"]) == ("STANDBY", "PAUSED_HERE", True)
    assert next(each for each in there["disks"] if each["name"] == disk)["complete"]
    a.wait_datastore(a.datastore_id, lambda shown: "Replication is paused" in str(shown.get("DR_MESSAGE")), 60)
    until("the VM to say so", lambda: a.api.vm.info(vm).USER_TEMPLATE.get("DR_STATE") == "DEGRADED", 120, 0.5)
    assert "resume-protection" in " ".join(each["todo"] for each in check(b, DATASTORE).findings)
    moved = b.run("onedr", "move", DATASTORE, "--yes", check=False)
    assert moved.returncode == 2 and f"onedr resume-protection {DATASTORE}" in moved.stderr + moved.stdout
    assert "continues within a minute" in run(b, "resume-protection")["message"]
    continued_at = time.time()
    w.wait_point(b, ["db"], after=paused_at + STAYS_S, limit_s=180)
    print(f"the copy had followed {time.time() - continued_at:.0f} s after the pause ended")
    a.wait_datastore(a.datastore_id, lambda shown: shown.get("DR_STATE") == "PROTECTED", 120)
    assert (verbs(a), verbs(b)) == (["pause"], ["pause", "move", "resume_protection"]), "also what was refused"


def verbs(cloud: Cloud) -> list[str]:
    """Of a site's history, oldest first."""
    return [name.partition("-")[2] for name in json.loads(cloud.run("onedr", "history", DATASTORE, "--json").stdout)]
