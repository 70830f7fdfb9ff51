"""A whole front-end that reaches Ceph only over a bridge host: images, records, first copies and status all the same."""
from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import workload as w
from beds import furnish
from bridge_host import Bridges, bridges, only_by_bridge
from drills import site_as_it_is

from onedr.runs import journal, lease
from onedr.runs.journal_entry import JournalEntry
from sandbox.cloud import Cloud, of_site
from sandbox.temporary import temporary
from sandbox.waiting import until

LIMIT_S = 180  # of every wait; other beds may be at work on this machine


@dataclass(frozen=True)
class Ground:
    """Both sites; those of `a` know Ceph only by the bridges."""

    a: Cloud
    b: Cloud
    line: Bridges


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("bridge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")  # of the front-ends too
        with temporary(frontends=True) as bed, bridges(folder, bed.sites["site-a"], ("bridge-1",)) as line:
            a, b = (of_site(site) for site in bed.sites.values())
            furnish(a, b)
            only_by_bridge(a, line)
            yield Ground(a, b, line)


def test_an_image_is_made_recorded_and_copied(ground: Ground) -> None:
    image_id = w.create_image(ground.a, "far", "DESCRIPTION=first\n")
    name = w.rbd_name(ground.a, image_id)
    w.wait_complete(ground.a, [name])
    ground.a.api.image.update(image_id, "DESCRIPTION=second\n", 1)  # a hook's work, left to the keeper there
    with w.open_pool(ground.b) as there:
        def described() -> bool:
            record = w.image_record(there, name)
            return record is not None and dict(record.template).get("DESCRIPTION") == "second"

        until("the new description at the peer", described, LIMIT_S)
    assert ground.line.logins("bridge-1") > 0


def test_a_vm_runs_on_a_clone_and_its_record_follows(ground: Ground) -> None:
    base = w.create_image(ground.a, "base", persistent=False)
    vm = w.create_vm(ground.a, "far-worker", [base])
    with w.open_pool(ground.a) as here, w.open_pool(ground.b) as there:
        w.wait_recorded(ground.a, vm, here, there)
        disk = f"{w.rbd_name(ground.a, base)}-{vm}-0"
        w.wait_complete(ground.a, [disk])
        ground.a.api.vm.action("terminate-hard", vm)
        until("the clone to go", lambda: disk not in here.names() and disk not in there.names(), LIMIT_S)
    ground.a.wait_image(base)
    ground.a.run("oneimage", "delete", str(base))


def test_status_and_reconcile_show_what_the_bridge_sees(ground: Ground) -> None:
    found = w.status(ground.a)
    assert [disk["name"] for disk in found["disks"]] == ["one-0"]
    done = ground.a.onedr("reconcile", str(ground.a.datastore_id))
    assert done["mirrored"] == ["one-0"] and not done["failed"]


def test_the_state_reaches_the_datastore(ground: Ground) -> None:
    ground.a.wait_datastore(ground.a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED")


def test_the_log_of_the_front_end_tells_what_the_bridge_did(ground: Ground) -> None:
    """The keeper works on the bridge; what it logs there is nowhere but here."""
    ground.a.wait_datastore(ground.a.datastore_id, lambda found: found.get("DR_STATE") == "PROTECTED")
    log = ground.a.one_location / "var/onedr/onedr.log"
    until("its line", lambda: log.exists() and re.search(r" verb=keeper PROTECTED: ", log.read_text()), LIMIT_S)


def test_a_vm_of_the_peer_is_rehearsed_over_the_bridge(ground: Ground) -> None:
    a, b = ground.a, ground.b
    image = w.create_image(b, "home-disk")
    vm = w.create_vm(b, "home-worker", [image], 'NOTE="a <b>"\nCONTEXT=[ROLE="front"]\n')
    with w.open_pool(a) as here:
        w.wait_recorded(b, vm, here)
    w.wait_complete(b, [w.rbd_name(b, image)])
    before = site_as_it_is(a)[2:]  # VMs, images, leases; a first copy comes and goes with snapshots
    a.run("onedr", "check", str(a.datastore_id), "--rehearse", check=False)
    (came,) = [found["rehearsal"] for found in w.status(a)["vms"] if found["name"] == "home-worker"]
    assert (came["result"], came["differences"]) == ("accepted", []), came
    assert site_as_it_is(a)[2:] == before
    b.api.vm.action("terminate-hard", vm)
    b.wait_image(image)
    b.run("oneimage", "delete", str(image))


def test_history_and_preserved_copies_are_read_over_the_bridge(ground: Ground) -> None:
    with w.open_pool(ground.a) as pool, journal.Run(pool, "drill_cleanup") as run:
        run.save(JournalEntry(run.id, run.verb, lease.me(), 1.0, result="DONE", message="nothing left"))
    before = ground.line.logins("bridge-1")
    runs = ground.a.onedr("history", str(ground.a.datastore_id))
    assert list(runs) == [run.id] and runs[run.id]["message"] == "nothing left"
    assert ground.a.run("onedr", "kept", str(ground.a.datastore_id), "--json").stdout.strip() == "[]"
    assert ground.line.logins("bridge-1") >= before + 2


def test_the_image_goes_from_both_sites(ground: Ground) -> None:
    ground.a.run("oneimage", "delete", "0")
    with w.open_pool(ground.a) as here, w.open_pool(ground.b) as there:
        until("the image to go", lambda: not here.names() and not there.names(), LIMIT_S)
