"""DR_CONSISTENCY=DATASTORE: a point is of one instant on the disks of all VMs. A writer puts each number on the disk of
one VM before it puts it on that of the other; at no point is the second ahead, or behind by more than one.
"""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import workload as w

from onedr.ceph import group_snapshots
from onedr.ceph.connection import Pool
from sandbox.cloud import DATASTORE, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

pytestmark = pytest.mark.long

FIRST, SECOND = "ledger-of-one", "ledger-of-two"
WANTED = 4


@contextmanager
def writing(cloud: Cloud, names: list[str]) -> Iterator[None]:
    """Numbers on two disks in turn, the first before the second."""
    over = threading.Event()

    def write() -> None:
        with w.open_pool(cloud) as pool, pool.image(names[0]) as first, pool.image(names[1]) as second:
            number = 0
            while not over.is_set():
                number += 1
                for image in (first, second):
                    image.write(number.to_bytes(8, "big"), 0)
                    image.flush()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def complete(cloud: Cloud) -> dict[str, list[dict[str, Any]]]:
    """Complete points, by VM."""
    return {
        vm["name"]: [each for each in vm["points"] if each["complete"]]
        for vm in cloud.onedr("points", DATASTORE)["vms"]
    }


def numbers(pool: Pool, name: str) -> dict[str, int]:
    """What was written at each point, by its snapshot."""
    found = {}
    with pool.image(name, read_only=True) as image:
        for each in group_snapshots.of_image(image):
            image.set_snap_by_id(each.number)
            found[each.name] = int.from_bytes(image.read(0, 8), "big")
    return found


def test_points_of_a_datastore_are_of_one_instant_on_all_vms(sites: Sites) -> None:
    a, b = w.guestless(sites.a), w.guestless(sites.b)
    for cloud in (a, b):
        cloud.api.datastore.update(
            cloud.datastore_id, 'DR_POINT_EVERY="10s"\nDR_POINTS="60x10s"\nDR_CONSISTENCY="DATASTORE"\n', 1)
    disks, _ = w.written_vms(a, b, [FIRST, SECOND])
    names = [disks[FIRST], disks[SECOND]]
    with writing(a, names):
        until("complete points of both", lambda: all(
            len(complete(a).get(vm, [])) >= WANTED for vm in (FIRST, SECOND)), 240, 1)
    shown = complete(a)
    assert {each["name"] for each in shown[FIRST]} == {each["name"] for each in shown[SECOND]}, "one point for all"
    with w.open_pool(b) as there:
        first, second = (numbers(there, name) for name in names)
    both = first.keys() & second.keys()
    assert len(both) >= WANTED and len({first[name] for name in both}) > 1, "the writer wrote in between"
    for name in both:
        assert second[name] <= first[name] <= second[name] + 1, (name, first[name], second[name])
