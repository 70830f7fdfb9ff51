"""Snapshot mode: what a loss during a sync leaves, also where a forced promotion hung before rbd-mirror was cut off."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import rbd

from onedr.ceph import connection, mirroring
from onedr.ceph.connection import Pool
from onedr.failover import promote as failover_promote
from onedr.model.types import CephAccess, Mode, Settings
from onedr.replication import image_facts, image_view, recovery_point
from onedr.replication.image_view import ImageView
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


def content(pool: Pool, name: str) -> set[bytes]:
    """The first byte of each of its objects."""
    with pool.image(name, read_only=True) as image:
        return {image.read(number * OBJECT, 1) for number in range(OBJECTS)}


def mirror_snapshots(pool: Pool, name: str = NAME) -> list[dict[str, Any]]:
    with pool.image(name, read_only=True) as image:
        return [snap["mirror"] for snap in image.list_snaps() if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR]


def may_be_promoted(pool: Pool, name: str = NAME) -> bool:
    """As OneDR judges the copy: by the scan of all images, and by librbd alike."""
    found = image_view.read_views(pool, [name])[name]
    assert isinstance(found, ImageView) and found == image_view.open_view(pool, name)
    return image_facts.copy_point(found, Settings(schedule="5m"), {})[0].complete


def syncing(pool: Pool, name: str = NAME) -> bool:
    """Is a part of the newest snapshot here, and not all of it?"""
    try:
        newest = mirror_snapshots(pool, name)[-1]
    except (rbd.ImageNotFound, IndexError):
        return False
    return not newest["complete"] and newest["last_copied_object_number"] > 2


def complete(pool: Pool, count: int, name: str = NAME) -> bool:
    """Is the sync of the newest snapshot done, and are there no more than `count` older ones?"""
    try:
        found = mirror_snapshots(pool, name)
    except rbd.ImageNotFound:
        return False
    return bool(found) and len(found) <= count and bool(found[-1]["complete"])


def is_copied(pool: Pool, name: str, letter: bytes) -> bool:
    """Is all of the newest content here, and nothing older kept?"""
    return complete(pool, 1, name) and content(pool, name) == {letter}


def frozen_sync(here: Pool, there: Pool, daemon: int, letter: bytes) -> None:
    """A sync of new content stops in its middle: rbd-mirror stands still."""
    with here.image(NAME) as image:
        fill(image, letter)
        image.mirror_image_create_snapshot()
    until("a sync", lambda: syncing(there), 60, 0.01)
    os.kill(daemon, signal.SIGSTOP)


def test_a_copy_is_not_promoted_in_its_second_sync_and_later_it_is_of_one_moment(ceph_bed: Bed) -> None:
    b_site = ceph_bed.sites["site-b"]
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        here.rbd.create(here.io, NAME, OBJECTS * OBJECT, old_format=False)
        with here.image(NAME) as image:
            fill(image, b"1")
            mirroring.enable_mirroring(here, image, Mode.SNAPSHOT)
        until("the first copy", lambda: complete(there, 1), 180, 0.2)
        assert may_be_promoted(there), "nothing overwrites it"
        daemon = processes.running(b_site, "mirror")
        assert daemon is not None
        frozen_sync(here, there, daemon, b"2")
        try:
            assert not may_be_promoted(there), "promotion would go back to before the first copy"
        finally:
            os.kill(daemon, signal.SIGCONT)
        until("the second copy", lambda: complete(there, 1), 180, 0.2)
        assert may_be_promoted(there)
        frozen_sync(here, there, daemon, b"3")
        try:
            assert may_be_promoted(there)
            words = [sys.executable, "-c", PROMOTE, str(b_site.ceph_conf), NAME]
            with pytest.raises(subprocess.TimeoutExpired):
                subprocess.run(words, timeout=HANG_S, check=False)
            failover_promote.cut_off(there, [NAME])
            assert failover_promote.promote(there, NAME, False, Mode.SNAPSHOT) == "promoted by force"
        finally:
            os.kill(daemon, signal.SIGCONT)
        found = content(there, NAME)
    assert found == {b"1"}, "two snapshots back (docs/ceph-facts.md C4), and no part of the unfinished one"


def test_what_a_hung_promotion_left_of_a_sync_is_taken_out(ceph_bed: Bed) -> None:
    """Site A dies in the middle of a sync, and the promotion hangs because rbd-mirror was not cut off before it."""
    name, b_conf = "one-61", str(ceph_bed.sites["site-b"].ceph_conf)
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        here.rbd.create(here.io, name, OBJECTS * OBJECT, old_format=False)
        made = time.time()
        for letter in (b"1", b"2"):
            with here.image(name) as image:
                fill(image, letter)
                mirroring.enable_mirroring(here, image, Mode.SNAPSHOT)
            until("a snapshot that is not the first", lambda: time.time() > made + recovery_point.FIRST_S + 2, 20)
            with here.image(name) as image:
                mirroring.publish_changes(here, image)
            until("the copy", partial(is_copied, there, name, letter), 180, 0.2)
        with here.image(name) as image:
            fill(image, b"3")
            image.mirror_image_create_snapshot()
        until("a sync", lambda: syncing(there, name), 60, 0.01)
        ceph_bed.kill("site-a")
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run([sys.executable, "-c", PROMOTE, b_conf, name], timeout=30, check=False)
        assert may_be_promoted(there, name)
        assert mirror_snapshots(there, name)[-1]["complete"], "the promotion that hung left this, of no site"
        failover_promote.cut_off(there, [name])
        assert failover_promote.promote(there, name, False, Mode.SNAPSHOT) == "promoted by force"
        found = content(there, name)
    assert found == {b"1"}, "as without the promotion that hung: no part of the unfinished sync"
