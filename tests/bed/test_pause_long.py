"""`onedr pause` and `onedr resume-protection`: the copy stays as it is, which is said everywhere, and follows again."""
from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
import workload as w
from alerts import firing_now
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
    assert "OneDRPaused" in firing_now(a) & firing_now(b)
    assert "resume-protection" in " ".join(each["todo"] for each in check(b, DATASTORE).findings)
    moved = b.run("onedr", "move", DATASTORE, "--yes", check=False)
    assert moved.returncode == 2 and f"onedr resume-protection {DATASTORE}" in moved.stderr + moved.stdout
    assert "continues within a minute" in run(b, "resume-protection")["message"]
    continued_at = time.time()
    w.wait_point(b, ["db"], after=paused_at + STAYS_S, limit_s=180)
    print(f"the copy had followed {time.time() - continued_at:.0f} s after the pause ended")
    a.wait_datastore(a.datastore_id, lambda shown: shown.get("DR_STATE") == "PROTECTED", 120)
    assert (verbs(a), verbs(b)) == (["pause"], ["pause", "move", "resume_protection"]), "also what was refused"


def test_outside_the_window_a_new_image_waits_says_so_and_gets_its_turn(sites: Sites) -> None:
    a = sites.a
    now = time.localtime()
    begin, end = ((now.tm_hour + later) % 24 for later in (4, 5))
    a.api.datastore.update(a.datastore_id, f'DR_COPY_WINDOW="{begin:02d}:00-{end:02d}:00"\nDR_COPY_OUTSIDE=0', 1)
    name = f"one-{w.create_image(a, 'late')}"
    until("it to be listed", lambda: name in waiting(a), 60, 0.5)
    assert "DR_COPY_WINDOW" in waiting(a)[name] and w.status(a)["state"] == "DEGRADED"
    found = [each for each in check(a, DATASTORE).findings if each["code"] == "COPY_WINDOW"]
    assert found[0]["level"] == "warning" and name in found[0]["text"]
    a.api.datastore.update(a.datastore_id, "DR_COPY_OUTSIDE=1", 1)
    w.wait_complete(a, [name], 180)
    assert name not in waiting(a)


def waiting(cloud: Cloud) -> dict[str, str]:
    return {each["name"]: each["reason"] for each in w.status(cloud)["unprotected"]}


def verbs(cloud: Cloud) -> list[str]:
    """Of a site's history, oldest first."""
    return [name.partition("-")[2] for name in json.loads(cloud.run("onedr", "history", DATASTORE, "--json").stdout)]
