"""What a large cloud does at once: hundreds of hook events in a minute, more images than slots, 2,000 images."""
from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import workload as w
from test_storm import READY, keepers, processes

from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

VMS, CHANGES, MINUTE_S = 25, 20, 60  # 500 events of the API in a minute
HOOKS = 10  # that oned's hook manager runs at a time
SLOTS = 15  # of the datastore driver
AT_ONCE = 4 * SLOTS
MANY, DESCRIPTORS = 2000, 1024
KEEPER_DESCRIPTORS = 256
KEEPERS = 4  # each driver starts one, which ends at once where one is at work


class Watch:
    """The most processes of each kind that were seen at one time, and the most memory of all of them, MiB."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.most, self.mib = cloud, {"hooks": 0, "drivers": 0, "keepers": 0}, 0

    def look(self) -> None:
        hooks, drivers = (processes(self.cloud, word) for word in ("hooks/ceph_dr/", "/datastore/ceph_dr/"))
        now = {"hooks": len(hooks), "drivers": len(drivers), "keepers": keepers(self.cloud)}
        self.most = {kind: max(seen, now[kind]) for kind, seen in self.most.items()}
        self.mib = max(self.mib, sum(map(resident_mib, hooks + drivers)))


@contextmanager
def watched(cloud: Cloud) -> Iterator[Watch]:
    watch, over = Watch(cloud), threading.Event()

    def run() -> None:
        while not over.wait(0.2):
            watch.look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def resident_mib(pid: int) -> int:
    with suppress(OSError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() >> 20
    return 0


@pytest.fixture(scope="module")
def a(sites: Sites) -> Cloud:
    if sites.real:
        pytest.skip("processes are found here by what the bed knows of them")
    return w.guestless(sites.a)


def test_five_hundred_events_in_a_minute_leave_the_last_word_of_each_vm_and_no_process(a: Cloud) -> None:
    images = [w.create_image(a, f"event-{number}", wait=False) for number in range(VMS)]
    for image in images:
        a.wait_image(image)
    vms = [w.create_vm(a, f"event-{number}", [image], wait=False) for number, image in enumerate(images)]
    for vm in vms:
        a.wait_vm(vm)
    begun = time.monotonic()

    def change(vm: int) -> None:
        for number in range(CHANGES):
            time.sleep(max(0.0, begun + number * MINUTE_S / CHANGES - time.monotonic()))
            a.api.vm.update(vm, f'NOTE="{number}"\n', 1)

    with watched(a) as watch:
        with ThreadPoolExecutor(VMS) as threads:
            list(threads.map(change, vms))
        sent = time.monotonic() - begun
        until("the hooks to end", lambda: not processes(a, "hooks/ceph_dr/"), 180, 0.2)
    ended = time.monotonic() - begun - sent
    print(f"\n{VMS * CHANGES} events in {sent:.0f} s, the last hook {ended:.1f} s later; {watch.most}, {watch.mib} MiB")
    assert watch.most["hooks"] <= HOOKS and watch.most["keepers"] <= KEEPERS

    def noted() -> bool:
        with w.open_pool(a) as here:
            found = [w.vm_record(here, w.rbd_name(a, image)) for image in images]
        return all(record and ("NOTE", str(CHANGES - 1)) in record.user_template for record in found)

    until("the records", noted, 60, 1)
    until("one keeper", lambda: keepers(a) <= 1, 60, 0.2)


def test_with_every_slot_of_the_driver_full_nothing_is_lost_and_the_slots_are_free_again(a: Cloud) -> None:
    with watched(a) as watch:
        made = [w.create_image(a, f"slot-{number}", wait=False) for number in range(AT_ONCE)]
        until("all images", lambda: all(a.api.image.info(image).STATE == READY for image in made), 600, 1)
    begun = time.monotonic()
    a.wait_image(w.create_image(a, "after", wait=False))
    seconds = time.monotonic() - begun
    print(f"\n{AT_ONCE} images at once: {watch.most}, {watch.mib} MiB; the next image took {seconds:.1f} s")
    assert watch.most["drivers"] <= SLOTS and watch.most["keepers"] <= KEEPERS and seconds < 30
    w.wait_complete(a, [w.rbd_name(a, image) for image in made], 300)


def test_two_thousand_images_need_few_descriptors(a: Cloud) -> None:
    """Everything that looks at all images works with 1,024 descriptors, the keeper with far fewer."""
    made = [w.create_image(a, f"many-{number}", wait=False) for number in range(MANY)]
    until("all images", lambda: sum(image.STATE == READY for image in pool_of(a)) >= len(made), 2400, 5)
    found = json.loads(few(a, "onedr", "status", DATASTORE, "--json"))
    assert len(found["disks"]) >= MANY
    few(a, "onedr", "reconcile", DATASTORE)
    few(a, "onedr", "check", DATASTORE)
    (keeper,) = keeper_pids(a)
    held = len(os.listdir(f"/proc/{keeper}/fd"))
    print(f"\n{MANY} images: the keeper holds {held} descriptors, {resident_mib(keeper)} MiB")
    assert held <= KEEPER_DESCRIPTORS
    until("every copy", lambda: all(disk["complete"] for disk in w.status(a)["disks"]), 1800, 10)


def pool_of(cloud: Cloud) -> list[Any]:
    return list(cloud.api.imagepool.info(-2, -1, -1).IMAGE)


def few(cloud: Cloud, *words: str) -> str:
    """Output of a command that may open 1,024 descriptors. 0 and 6 (degraded: copies are still made) are good."""
    done = cloud.run("prlimit", f"--nofile={DESCRIPTORS}", "--", *words, check=False, limit_s=300)
    assert done.returncode in (0, 6), (words, done.stdout, done.stderr)
    return str(done.stdout)


def keeper_pids(cloud: Cloud) -> list[int]:
    """The keeper that is at work, once another that only looked has ended."""
    until("one keeper", lambda: keepers(cloud) == 1, 60, 0.2)
    return [
        int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()
        and b"onedr.driver.keeper_process" in (folder / "cmdline").read_bytes()
        and f"ONE_LOCATION={cloud.one_location}\0".encode() in (folder / "environ").read_bytes()
    ]
