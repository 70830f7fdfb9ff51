"""Where Ceph's manager runs no schedules, images are protected all the same and the keeper takes the snapshots."""
from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import rbd
from driver_calls import arrives, digest

from onedr.ceph import connection, mirror_schedule
from onedr.ceph.connection import Pool
from onedr.ceph.mirror_schedule import NoSchedulesError
from onedr.model.types import CephAccess, Mode, Settings
from onedr.protection import schedule_rules, snapshot_schedule
from onedr.replication import mirror_image
from sandbox.bed import Bed
from sandbox.ceph import cluster
from sandbox.waiting import until

SETTINGS = Settings(protect=True, mode=Mode.SNAPSHOT, schedule="1m")
MINUTE_S = schedule_rules.patience_s("1m", manager_runs=False)


def test_an_images_own_schedule_takes_the_place_of_the_datastores(ceph_bed: Bed) -> None:
    with connection.connect(CephAccess("one", "oneadmin", str(ceph_bed.sites["site-a"].ceph_conf))) as pool:
        until("schedules to run", lambda: are_run(pool), 60)
        name, settings = f"one-{time.monotonic_ns()}", replace(SETTINGS, rpo_s=7200)
        pool.rbd.create(pool.io, name, 4 << 20, old_format=False)
        assert mirror_image.begin_mirroring(pool, name, settings) is None
        assert mirror_schedule.schedules(pool)[name] == ("1m",)
        for own, listed in (("60m", "1h"), ("60m", "1h"), ("", "1m")):
            images = {name: (("DR_SCHEDULE", own),)}
            assert snapshot_schedule.set_schedules(pool, settings, images, [name])
            assert mirror_schedule.schedules(pool)[name] == (listed,)


def are_run(pool: Pool) -> bool:
    """A manager that has just started says for a while that its module is not ready."""
    try:
        mirror_schedule.schedules(pool)
    except NoSchedulesError:
        return False
    return True


@pytest.fixture(params=["no manager", "a manager without rbd_support"])
def here(ceph_bed: Bed, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Site A's pool; its manager cannot run schedules."""
    site = ceph_bed.sites["site-a"]
    module = site.folder / "mgr-modules/rbd_support"
    with connection.connect(CephAccess("one", "oneadmin", str(site.ceph_conf))) as pool:
        until("schedules to run", lambda: are_run(pool), 60)
        ceph_bed.stop("site-a", "mgr")
        if request.param != "no manager":
            place = module.readlink()
            module.unlink()
            ceph_bed.start("site-a", "mgr")
            with cluster.connect(site) as admin:
                old = cluster.command(admin, prefix="mgr dump")["active_gid"]
                until("another manager", lambda: is_new(cluster.command(admin, prefix="mgr dump"), old), 60)
        yield pool
        if request.param != "no manager":
            ceph_bed.stop("site-a", "mgr")
            module.symlink_to(place)
        ceph_bed.start("site-a", "mgr")


def is_new(dump: dict[str, object], old: object) -> bool:
    return bool(dump["available"]) and dump["active_gid"] != old


def test_the_keeper_takes_mirror_snapshots_when_they_are_due(ceph_bed: Bed, here: Pool) -> None:
    with pytest.raises(NoSchedulesError):
        mirror_schedule.schedules(here)
    name = f"one-{time.monotonic_ns()}"
    here.rbd.create(here.io, name, 4 << 20, old_format=False)
    assert mirror_image.begin_mirroring(here, name, SETTINGS) is None
    with here.image(name) as image:
        image.write(b"later" * 1000, 0)
    now = newest(here, name)
    assert snapshot_schedule.take_due(here, {name: MINUTE_S}) == {} and newest(here, name) == now
    assert snapshot_schedule.take_due(here, {name: 0}) == {} and newest(here, name) != now
    site_a, site_b = ceph_bed.sites.values()
    arrives(site_b, name, digest(site_a, name))


def newest(pool: Pool, name: str) -> int:
    with pool.image(name, read_only=True) as image:
        return max(
            int(snapshot["id"]) for snapshot in image.list_snaps()
            if snapshot["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR
        )
