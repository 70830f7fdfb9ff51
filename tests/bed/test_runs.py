"""A run whose process dies: it is shown as INTERRUPTED, taken back or gone on with, and the history tells it all."""
from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.ceph.connection import Pool
from onedr.runs import journal
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


@dataclass
class Story:
    """Two VMs at site A, one switched off."""

    sites: Sites
    db: int = 0
    idle: int = 0
    disks: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def story(sites: Sites) -> Iterator[Story]:
    a, b = sites.a, sites.b
    w.introduce(b, a)
    images = [w.create_image(a, name, wait=False) for name in ("db-disk", "idle-disk")]
    for image in images:
        a.wait_image(image)
    made = Story(sites, *(w.create_vm(a, name, [image], wait=False) for name, image in zip(("db", "idle"), images)))
    for vm in (made.db, made.idle):
        a.wait_vm(vm)
    a.api.vm.action("poweroff-hard", made.idle)
    a.wait_vm(made.idle, "POWEROFF")
    with w.open_pool(b) as there:
        for vm in (made.db, made.idle):
            w.wait_recorded(a, vm, there)
            made.disks += w.disks_of(w.wanted_record(a, vm))
    w.wait_complete(a, made.disks)
    w.wait_point(b, ["db", "idle"])
    w.wait_writing(a, made.db)
    yield made


def one(story: Story, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A verb of `onedr` at site B that ends with this exit code."""
    done: subprocess.CompletedProcess[str] = story.sites.b.run(
        "onedr", words[0], str(story.sites.b.datastore_id), *words[1:], check=False)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done


def verdict(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def kill_at(story: Story, request: Request, kind: str) -> None:
    """SIGKILL for a run once its first step of a kind is done; `journaled`: once it is in the journal."""
    b = story.sites.b
    child = w.start_action(b, request)
    assert child.stdout is not None
    try:
        for line in child.stdout:
            event = json.loads(line)
            if kind == "journaled" and event["event"] == "plan":
                until("its journal", lambda: last(b)["result"] == "RUNNING", 30, 0.01)
                break
            if event["event"] == "step" and event["kind"] == kind:
                break
        else:
            raise AssertionError(f"the run ended by itself, without a {kind}")
    finally:
        child.kill()
        child.wait()


def last(cloud: Cloud) -> dict[str, Any]:
    with w.open_pool(cloud) as pool:
        return journal.last_run(pool) or {"result": ""}


def shown(story: Story, name: str) -> str:
    found = dict(story.sites.b.api.datastore.info(story.sites.b.datastore_id).TEMPLATE)
    return str(found.get(name) or "")


def found_interrupted(story: Story) -> None:
    """One reconcile is all it takes."""
    one(story, "reconcile")
    assert shown(story, "DR_STATE") == "INTERRUPTED" and "onedr resume" in shown(story, "DR_MESSAGE")
    assert w.last_run(story.sites.b)["result"] == "INTERRUPTED"


def test_where_nothing_is_interrupted_there_is_nothing_to_resume_or_abort(story: Story) -> None:
    assert "there never was a run" in one(story, "resume", "--yes", code=2).stderr
    assert "nothing to abort" in one(story, "abort", "--yes", code=2).stderr


def test_a_planned_move_that_died_is_taken_back_and_the_peer_runs_as_before(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    kill_at(story, Request("failover", by="olga@desk", trigger="onedr"), "stop")
    found_interrupted(story)
    assert "stop" in shown(story, "DR_PROGRESS"), "how far it got"
    said = verdict(one(story, "abort", "--yes", "--json"))
    assert said["state"] == "STANDBY" and "aborted" in said["message"] and not said["failed"]
    a.wait_vm(story.db)
    w.wait_writing(a, story.db)
    assert a.api.vm.info(story.idle).STATE == 8
    for vm in (story.db, story.idle):
        assert not a.api.vm.info(vm).USER_TEMPLATE.get("DR_HELD")
        assert not a.api.vm.info(vm).LOCK
    with w.open_pool(a) as pool:
        assert all(w.primaries(pool)[disk] for disk in story.disks)
    assert not list(b.api.vmpool.infoextended(-2, -1, -1, -1).VM)
    run = w.last_run(b)
    assert (run["result"], run["by"], run["verb"]) == ("ABORTED", "olga@desk", "failover")
    assert run["abort"]["trigger"] == "onedr" and shown(story, "DR_STATE") == "STANDBY" and not shown(story, "DR_PROGRESS")


def test_a_second_abort_harms_nobody(story: Story) -> None:
    before = w.last_run(story.sites.b)
    assert "was taken back already" in verdict(one(story, "abort", "--yes", "--json"))["message"]
    assert w.last_run(story.sites.b) == before
    assert "ended as ABORTED" in one(story, "resume", "--yes", code=2).stderr


def test_a_disaster_failover_that_died_before_it_promoted_is_ended_by_abort(story: Story) -> None:
    story.sites.kill_a()
    kill_at(story, Request("failover", confirm=DATASTORE), "journaled")
    found_interrupted(story)
    said = verdict(one(story, "abort", "--yes", "--json"))
    assert said["state"] == "STANDBY" and w.last_run(story.sites.b)["result"] == "ABORTED"
    with w.open_pool(story.sites.b) as pool:
        assert not any(w.primaries(pool).values())


def test_one_that_died_after_a_promotion_is_gone_on_with_as_it_was_asked_for(story: Story) -> None:
    b = story.sites.b
    kill_at(story, Request("failover", confirm=DATASTORE), "promote")
    found_interrupted(story)
    refused = one(story, "abort", "--yes", code=2).stderr
    assert "promoted here already" in refused and "onedr resume" in refused
    said = verdict(one(story, "resume", "--yes", "--json"))
    assert said["state"] == "ACTIVE_UNPROTECTED" and not said["failed"], said
    vms = {vm.NAME: vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    assert sorted(vms) == ["db", "idle"]
    w.wait_writing(b, vms["db"])
    runs = json.loads(one(story, "history", "--json").stdout)
    died, resumed = list(runs.values())[-2:]
    assert (died["result"], died["then"]) == ("INTERRUPTED", resumed["run"])
    assert (resumed["result"], resumed["resumes"], resumed["request"]["confirm"]) == ("DONE", died["run"], DATASTORE)
    assert not shown(story, "DR_PROGRESS")


def test_the_history_tells_recovery_time_and_loss_of_each_vm(story: Story) -> None:
    run = w.last_run(story.sites.b)
    vms = {vm["name"]: vm for vm in run["vms"]}
    assert vms["idle"]["rto_s"] is None, "it did not run there"
    died = json.loads(one(story, "history", run["resumes"], "--json").stdout)[run["resumes"]]
    promised = {vm["name"]: vm["expected_loss_s"] for vm in died["plan"]["vms"]}
    assert vms["db"]["rpo_s"] == promised["db"] > 0, "as said before the first promotion, not at the resume"
    assert vms["db"]["rto_s"] > run["took_s"], "from the first command, not from the resume"
    assert all(step["seconds"] for step in run["steps"] if step["results"])
    table = one(story, "history").stdout
    assert "INTERRUPTED" in table and "ABORTED" in table and "DONE" in table
    detail = one(story, "history", run["run"]).stdout
    assert "start" in detail and "runs on" in detail and "resume by onedr" in detail
    assert "There is no run" in one(story, "history", "17", code=1).stderr


def test_no_run_is_ever_forgotten(story: Story) -> None:
    """An OSD hands out 1024 values at a time."""
    b = story.sites.b
    before = w.last_run(b)
    with w.open_pool(b) as pool:
        number = len(journal.load_runs(pool))
        with journal.Run(pool, "failover") as run:
            for n in range(1100):
                run.id = f"{n:013d}-old"
                run.save({"run": run.id, "verb": "failover", "result": "DONE", "began": float(n)})
        assert len(journal.load_runs(pool)) == number + 1100
        newest = journal.last_run(pool)
    assert newest is not None and newest["run"] == before["run"]


def test_a_guards_turn_is_waited_for(story: Story) -> None:
    """It comes by itself, every few minutes: nobody is refused for its sake."""
    entered = threading.Event()

    def asked_for(pool: Pool) -> None:
        with journal.Run(pool, "abort"):
            entered.set()

    with w.open_pool(story.sites.b) as pool:
        with journal.Run(pool, "guard"):
            waiting = threading.Thread(target=asked_for, args=(pool,))
            waiting.start()
            assert not entered.wait(1)
        assert entered.wait(10)
        waiting.join()
