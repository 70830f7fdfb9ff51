"""Snapshot mode: a forced promotion that hung during a sync, and was repeated after rbd-mirror was cut off."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import rbd

from onedr.ceph import connection, mirroring
from onedr.ceph.connection import Pool
from onedr.failover import promote as failover_promote
from onedr.model.types import CephAccess, Mode
from sandbox import processes
from sandbox.waiting import until

if TYPE_CHECKING:
    from sandbox.bed import Bed

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
NAME, MIB = "one-60", 1 << 20
OBJECTS, OBJECT = 128, 4 * MIB
HANG_S = 8
PROMOTE = """
import sys
from onedr.ceph import connection
from onedr.model.types import CephAccess
with connection.connect(CephAccess("one", "oneadmin", sys.argv[1])) as pool, pool.image(sys.argv[2]) as image:
    image.mirror_image_promote(True)
"""


@contextmanager
def at(bed: Bed, site: str) -> Iterator[Pool]:
    with connection.connect(CephAccess("one", "oneadmin", str(bed.sites[site].ceph_conf))) as pool:
        yield pool


def fill(image: rbd.Image, letter: bytes) -> None:
    for number in range(OBJECTS):
        image.write(letter * OBJECT, number * OBJECT)
    image.flush()


def mirror_snapshots(pool: Pool) -> list[dict[str, Any]]:
    with pool.image(NAME, read_only=True) as image:
        return [snap["mirror"] for snap in image.list_snaps() if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR]


def syncing(pool: Pool) -> bool:
    """Is a part of the newest snapshot here, and not all of it?"""
    try:
        newest = mirror_snapshots(pool)[-1]
    except (rbd.ImageNotFound, IndexError):
        return False
    return not newest["complete"] and newest["last_copied_object_number"] > 2


def test_what_is_promoted_is_the_last_complete_mirror_snapshot(ceph_bed: Bed) -> None:
    b_site = ceph_bed.sites["site-b"]
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        here.rbd.create(here.io, NAME, OBJECTS * OBJECT, old_format=False)
        with here.image(NAME) as image:
            fill(image, b"o")
            mirroring.enable_mirroring(here, image, Mode.SNAPSHOT)
        until("the first copy", lambda: mirroring_complete(there), 180, 0.2)
        with here.image(NAME) as image:
            fill(image, b"n")
            image.mirror_image_create_snapshot()
        until("a sync", lambda: syncing(there), 60, 0.01)
        daemon = processes.running(b_site, "mirror")
        assert daemon is not None
        os.kill(daemon, signal.SIGSTOP)
        try:
            print("before", mirror_snapshots(there))
            words = [sys.executable, "-c", PROMOTE, str(b_site.ceph_conf), NAME]
            with pytest.raises(subprocess.TimeoutExpired):
                subprocess.run(words, timeout=HANG_S, check=False)
            print("hung", mirror_snapshots(there))
            print(failover_promote.cut_off(there, [NAME], 60))
            print(failover_promote.promote(there, NAME, False, Mode.SNAPSHOT))
        finally:
            os.kill(daemon, signal.SIGCONT)
        print("after", mirror_snapshots(there))
        with there.image(NAME, read_only=True) as image:
            found = b"".join(image.read(number * OBJECT, 1) for number in range(OBJECTS))
    assert found == b"o" * OBJECTS, found


def mirroring_complete(pool: Pool) -> bool:
    try:
        return any(snap["complete"] for snap in mirror_snapshots(pool))
    except rbd.ImageNotFound:
        return False
