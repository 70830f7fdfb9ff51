"""A run whose process dies: it is shown as INTERRUPTED, taken back or gone on with, and the history tells it all.

One story. Each of its steps is a fixture that stands on the step before and records what it saw; a test takes
the step that it looks at, so any test runs alone.
"""
from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from alerts import firing_now
from production import Production, produce

from onedr.ceph.connection import Pool
from onedr.runs import journal
from onedr.runs import lease as runs_lease
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request
from sandbox.cloud import DATASTORE, Cloud

if TYPE_CHECKING:
    from conftest import Sites

POWEROFF = 8  # state of a VM
SLICE_S = 0.005  # less than a run takes between its journal and its first promotion


@dataclass
class Interrupted:
    """A run that died: what its datastore and `onedr abort` or `resume` said of it, and the sites after that."""

    shown: dict[str, str]  # the datastore's attributes when it was found
    found: dict[str, Any]  # the newest run then
    verdict: dict[str, Any]
    run: dict[str, Any]  # the newest run after it
    after: dict[str, str]  # the attributes after it
    there: dict[str, int] = field(default_factory=dict)  # ids of site B's VMs
    primary_here: dict[str, bool] = field(default_factory=dict)
    primary_there: dict[str, bool] = field(default_factory=dict)
    refused: str = ""  # what must not be done with it
    vms: dict[str, Any] = field(default_factory=dict)  # of site A
    alerts: set[str] = field(default_factory=set)


def one(world: Production, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """A verb of `onedr` at site B that ends with this exit code."""
    b = world.sites.b
    done: subprocess.CompletedProcess[str] = b.run("onedr", words[0], str(b.datastore_id), *words[1:], check=False)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}"
    return done


def verdict(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def kill_at(b: Cloud, request: Request, kind: str, target: str = "") -> None:
    """SIGKILL for a run once a step of a kind, of this target, is done; `journaled`: once it is in the journal."""
    child = w.start_action(b, request)
    assert child.stdout is not None
    try:
        for line in child.stdout:
            event = json.loads(line)
            if kind == "journaled" and event["event"] == "plan":
                stop_journaled(b, child)
                break
            if event["event"] == "step" and event["kind"] == kind and target in ("", event["target"]):
                break
        else:
            raise AssertionError(f"the run ended by itself, without a {kind}")
    finally:
        child.kill()
        child.wait()


def stop_journaled(b: Cloud, child: subprocess.Popen[str]) -> None:
    """Stop a run once it is in the journal. It stands still while it is looked at, so that it gets no further."""
    end = time.monotonic() + 60
    child.send_signal(signal.SIGSTOP)
    while last(b)["result"] != "RUNNING":
        assert time.monotonic() < end, "the run is not in the journal"
        child.send_signal(signal.SIGCONT)
        time.sleep(SLICE_S)
        child.send_signal(signal.SIGSTOP)


def last(cloud: Cloud) -> dict[str, Any]:
    with w.open_pool(cloud) as pool:
        found = journal.last_run(pool)
    return found.to_json() if found is not None else {"result": ""}


def attributes(b: Cloud) -> dict[str, str]:
    return dict(b.api.datastore.info(b.datastore_id).TEMPLATE)


def find_interrupted(world: Production) -> Interrupted:
    """One reconcile is all it takes."""
    one(world, "reconcile")
    return Interrupted(attributes(world.sites.b), w.last_run(world.sites.b), {}, {}, {})


def end(world: Production, seen: Interrupted, verb: str) -> Interrupted:
    """Abort or resume it, and look."""
    b = world.sites.b
    seen.verdict = verdict(one(world, verb, "--yes", "--json"))
    seen.run, seen.after = w.last_run(b), attributes(b)
    seen.there = {vm.NAME: vm.ID for vm in b.api.vmpool.infoextended(-2, -1, -1, -1).VM}
    with w.open_pool(b) as pool:
        seen.primary_there = w.primaries(pool)
    return seen


def was_found(seen: Interrupted) -> bool:
    is_shown = seen.shown["DR_STATE"] == "INTERRUPTED" and "onedr resume" in seen.shown["DR_MESSAGE"]
    return is_shown and seen.found["result"] == "INTERRUPTED"


@pytest.fixture(scope="module")
def world(sites: Sites) -> Production:
    w.introduce(sites.b, sites.a)
    return produce(sites, ("db", "idle"))


@pytest.fixture(scope="module")
def nothing(world: Production) -> tuple[str, str]:
    """What resume and abort say where there never was a run."""
    return one(world, "resume", "--yes", code=2).stderr, one(world, "abort", "--yes", code=2).stderr


@pytest.fixture(scope="module")
def moving(world: Production, nothing: Any) -> Interrupted:
    """A planned move dies after it stopped a VM, and is aborted."""
    a, b = world.sites.a, world.sites.b
    kill_at(b, Request("move", by="olga@desk", trigger="onedr"), "stop")
    seen = end(world, find_interrupted(world), "abort")
    with w.open_pool(a) as pool:
        seen.primary_here = w.primaries(pool)
    a.wait_vm(world.vms["db"])
    w.wait_writing(a, world.vms["db"])
    seen.vms = {name: a.api.vm.info(vm) for name, vm in world.vms.items()}
    return seen


@dataclass
class Again:
    """The same abort once more: its verdict, the newest run before and after, what resume says."""

    verdict: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    refused: str


@pytest.fixture(scope="module")
def again(world: Production, moving: Interrupted) -> Again:
    said = verdict(one(world, "abort", "--yes", "--json"))
    return Again(said, moving.run, w.last_run(world.sites.b), one(world, "resume", "--yes", code=2).stderr)


@pytest.fixture(scope="module")
def lost(world: Production, again: Again) -> Interrupted:
    """Site A dies; a failover dies before it promoted, and is aborted."""
    world.sites.kill_a()
    kill_at(world.sites.b, Request("failover", confirm=DATASTORE), "journaled")
    return end(world, find_interrupted(world), "abort")


@pytest.fixture(scope="module")
def resumed(world: Production, lost: Interrupted) -> Interrupted:
    """A failover dies after db's disk was promoted, cannot be aborted, and is resumed; db writes at site B."""
    kill_at(world.sites.b, Request("failover", confirm=DATASTORE), "promote", world.disks["db"][0])
    seen = find_interrupted(world)
    seen.alerts = firing_now(world.sites.b)
    seen.refused = one(world, "abort", "--yes", code=2).stderr
    end(world, seen, "resume")
    w.wait_writing(world.sites.b, seen.there["db"])
    return seen


def test_where_nothing_is_interrupted_there_is_nothing_to_resume_or_abort(nothing: tuple[str, str]) -> None:
    resume, abort = nothing
    assert "there never was a run" in resume and "nothing to abort" in abort


def test_a_planned_move_that_died_is_taken_back_and_the_peer_runs_as_before(
    world: Production, moving: Interrupted,
) -> None:
    assert was_found(moving) and "stop" in moving.shown["DR_PROGRESS"], "how far it got"
    said, run = moving.verdict, moving.run
    assert said["state"] == "STANDBY" and "aborted" in said["message"] and not said["failed"]
    assert all(moving.primary_here[disk] for disk in world.all_disks) and not moving.there
    assert (run["result"], run["by"], run["verb"]) == ("ABORTED", "olga@desk", "move")
    assert run["abort"]["trigger"] == "onedr" and moving.after["DR_STATE"] == "STANDBY"
    assert not moving.after.get("DR_PROGRESS")
    assert moving.vms["idle"].STATE == POWEROFF
    assert not [name for name, vm in moving.vms.items() if vm.USER_TEMPLATE.get("DR_LOCKED_STATE") or vm.LOCK]


def test_a_second_abort_harms_nobody(again: Again) -> None:
    assert "was rolled back already" in again.verdict["message"] and again.before == again.after
    assert "ended as ABORTED" in again.refused


def test_a_disaster_failover_that_died_before_it_promoted_is_ended_by_abort(lost: Interrupted) -> None:
    assert was_found(lost)
    assert lost.verdict["state"] == "STANDBY" and lost.run["result"] == "ABORTED"
    assert not any(lost.primary_there.values())


def test_one_that_died_after_a_promotion_is_gone_on_with_as_it_was_asked_for(
    world: Production, resumed: Interrupted,
) -> None:
    assert "OneDRRunInterrupted" in resumed.alerts, resumed.alerts
    assert was_found(resumed) and "promoted here already" in resumed.refused and "onedr resume" in resumed.refused
    assert resumed.verdict["state"] == "ACTIVE_UNPROTECTED" and not resumed.verdict["failed"], resumed.verdict
    assert sorted(resumed.there) == ["db", "idle"]
    run = resumed.run
    (died,) = json.loads(one(world, "history", run["resumes"], "--json").stdout).values()
    assert (died["result"], died["then"]) == ("INTERRUPTED", run["run"])
    assert (run["result"], run["request"]["confirm"]) == ("DONE", DATASTORE)
    assert not resumed.after.get("DR_PROGRESS")


def test_the_history_tells_recovery_time_and_loss_of_each_vm(world: Production, resumed: Interrupted) -> None:
    run = resumed.run
    vms = {vm["name"]: vm for vm in run["vms"]}
    assert vms["idle"]["rto_s"] is None, "it did not run there"
    died = json.loads(one(world, "history", run["resumes"], "--json").stdout)[run["resumes"]]
    promised = {vm["name"]: vm["expected_loss_s"] for vm in died["plan"]["vms"]}
    assert vms["db"]["rpo_s"] == promised["db"] > 0, "as said before the first promotion, not at the resume"
    assert vms["db"]["rto_s"] > run["took_s"], "from the first command, not from the resume"
    assert all(step["seconds"] for step in run["steps"] if step["results"])
    table = one(world, "history").stdout
    assert "INTERRUPTED" in table and "ABORTED" in table and "DONE" in table
    detail = one(world, "history", run["run"]).stdout
    assert "start" in detail and "runs on" in detail and "resume by onedr" in detail
    assert "There is no run" in one(world, "history", "17", code=1).stderr


def test_the_log_names_the_run_its_steps_and_its_end(world: Production, resumed: Interrupted) -> None:
    told = (world.sites.b.one_location / "var/onedr/onedr.log").read_text().splitlines()
    own = [line.partition(f" run={resumed.run['run']} ds={DATASTORE} verb=resume ")[2] for line in told]
    links = [text for text in own if text.startswith("history: chain.")]
    own = [text for text in own if text and text not in links]
    assert own[0].startswith("begins, ") and own[-1].startswith("ends DONE: ")
    assert sum(text.startswith("start ") for text in own) == 1, "db's; idle was not to start"
    verified = one(world, "history", "--verify").stdout
    assert "the journals are as they were left" in verified
    assert verified.split()[-1] in links[-1], "the log has the newest link"


def test_no_run_is_ever_forgotten(world: Production, resumed: Interrupted) -> None:
    """An OSD hands out 1024 values at a time."""
    b = world.sites.b
    before = w.last_run(b)
    with w.open_pool(b) as pool:
        number = len(journal.load_runs(pool))
        with journal.Run(pool, "failover") as run:
            for n in range(1100):
                run.id = f"{n:013d}-old"
                run.save(JournalEntry(run.id, "failover", runs_lease.me(), float(n), result="DONE"))
        assert len(journal.load_runs(pool)) == number + 1100
        newest = journal.last_run(pool)
    assert newest is not None and newest.run == before["run"]


def test_a_guards_turn_is_waited_for(world: Production) -> None:
    """It comes by itself, every few minutes: nobody is refused for its sake."""
    entered = threading.Event()

    def asked_for(pool: Pool) -> None:
        with journal.Run(pool, "abort"):
            entered.set()

    with w.open_pool(world.sites.b) as pool:
        with journal.Run(pool, "guard"):
            waiting = threading.Thread(target=asked_for, args=(pool,))
            waiting.start()
            assert not entered.wait(1)
        assert entered.wait(10)
        waiting.join()
