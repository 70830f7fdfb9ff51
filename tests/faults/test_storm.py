"""Hooks come in storms and die in them; a site's clock is an hour ahead. The record is right in the end, no loss is invented."""
from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import workload as w
from test_line import Story, prepare

from onedr.model.records import Mark
from onedr.replication import records
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

THREADS, CALLS = 4, 12
AHEAD_S = 3600
IMAGES = 20  # oned runs 15 datastore actions at a time
MOST_KEEPERS = 4  # each driver starts one, which ends at once where one is at work
READY = 1


@pytest.fixture(scope="module")
def story(sites: Sites) -> Story:
    if sites.real:
        pytest.skip("hook processes and front-ends are killed here by what the bed knows of them")
    return prepare(sites)


def processes(cloud: Cloud, *words: str) -> list[int]:
    """Processes of a site whose command line has all these words."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            pid, line = int(folder.name), (folder / "cmdline").read_bytes().decode(errors="replace")
            if str(cloud.one_location) in line and all(word in line for word in words):
                found.append(pid)
    return found


def keepers(cloud: Cloud) -> int:
    """How many run: their command line does not name the site, their environment does."""
    found = 0
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            int(folder.name)
            if b"onedr.driver.keeper_process" in (folder / "cmdline").read_bytes():
                found += f"ONE_LOCATION={cloud.one_location}\0".encode() in (folder / "environ").read_bytes()
    return found


def test_a_storm_of_hooks_some_of_which_are_killed_ends_in_the_right_record(story: Story) -> None:
    a, b = story.sites.a, story.sites.b
    over = threading.Event()
    killed: set[int] = set()

    def kill() -> None:
        """Every hook that is seen while the storm goes on."""
        while not over.wait(0.05):
            for pid in processes(a, "hooks/ceph_dr/vm"):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)

    def change(thread: int) -> None:
        api = a.api
        for call in range(CALLS):
            api.vm.update(story.vm, f'NOTE{thread}="{call}"\n', 1)

    threads = [threading.Thread(target=change, args=(thread,)) for thread in range(THREADS)]
    killer = threading.Thread(target=kill)
    for thread in (killer, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    killer.join()
    print(f"\n{THREADS * CALLS} changes, {len(killed)} hooks killed")
    assert killed
    until("the hooks to end", lambda: not processes(a, "hooks/ceph_dr/vm"), 120, 0.2)
    until("one keeper", lambda: keepers(a) <= 1, 30, 0.2)
    a.run("onedr", "reconcile", DATASTORE)
    with w.open_pool(a) as here, w.open_pool(b) as there:
        w.wait_recorded(a, story.vm, here, there)
        record = w.vm_record(there, story.disk)
    assert record is not None and {("NOTE0", "11"), ("NOTE3", "11")} <= set(record.user_template)
    until("site A to be content", lambda: w.status(a)["state"] == "PROTECTED", 60, 1)


def test_more_images_at_once_than_oned_has_slots_are_all_protected_and_leave_nothing_behind(story: Story) -> None:
    a = story.sites.a
    at_work: list[int] = []
    made = [w.create_image(a, f"storm-{number}", wait=False) for number in range(IMAGES)]
    for image in made:
        a.api.image.update(image, 'NOTE="while it is made"\n', 1)

    def ready() -> bool:
        at_work.append(keepers(a))
        return all(a.api.image.info(image).STATE == READY for image in made)

    until("all images", ready, 240, 0.1)
    begun = time.monotonic()
    a.wait_image(w.create_image(a, "after-the-storm", wait=False))
    seconds = time.monotonic() - begun
    names = [w.rbd_name(a, image) for image in made]
    w.wait_complete(a, names, 180)
    until("the hooks to end", lambda: not processes(a, "hooks/ceph_dr/image"), 60, 0.2)
    assert not processes(a, "drivers/datastore/ceph_dr/mkfs")
    print(f"\n{IMAGES} images at once, at most {max(at_work)} keepers; the next image took {seconds:.1f} s")
    assert 1 <= max(at_work) <= MOST_KEEPERS and seconds < 30, "the slots are free again"

    def noted() -> bool:
        with w.open_pool(a) as here:
            found = [w.image_record(here, name) for name in names]
        return all(record and ("NOTE", "while it is made") in record.template for record in found)

    until("the records", noted, 60, 1)


def test_with_marks_of_a_clock_that_is_ahead_the_loss_is_unknown_and_said_so(story: Story) -> None:
    """The last one: site A dies. Its clock wrote the last mark."""
    a, b, bed = story.sites.a, story.sites.b, story.sites.bed
    content = w.digest(a, story.disk)
    for daemon in ("hooks", "frontend"):
        bed.stop("site-a", daemon)
    until("the keeper to end", lambda: not keepers(a), 120, 0.2)
    ahead = Mark(round(time.time(), 3) + AHEAD_S, True)
    with w.open_pool(a) as here, here.image(story.disk) as image:
        records.write_mark(image, ahead)
    with w.open_pool(b) as there:
        until("the mark", lambda: records.read_mark(w.values_of(there, story.disk)) == ahead, 60)
    story.sites.kill_a()
    plan = json.loads(b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE, "--dry-run", "--json").stdout.splitlines()[0])
    (vm,) = plan["vms"]
    assert vm["expected_loss_s"] is None
    assert any("the sites' clocks differ" in warning for warning in vm["warnings"]), vm["warnings"]
    b.run("onedr", "failover", DATASTORE, "--confirm", DATASTORE, "--yes")
    assert w.digest(b, story.disk) == content
    (run,) = w.last_run(b)["vms"]
    assert run["rpo_s"] is None and run["rto_s"] is not None
