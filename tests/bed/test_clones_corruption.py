"""Why clones are flattened in snapshot mode: what plain Ceph does to a mirrored clone, and what OneDR makes of it."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import driver_calls as calls
import pytest
import rbd
from cloneground import LIMIT_S, Ground, ground
from driver_calls import MIB, digest, facts

from onedr.ceph import connection
from onedr.model.types import CephAccess, Settings
from onedr.replication import image_facts
from sandbox.bed import Bed
from sandbox.layout import Site
from sandbox.waiting import until

OBJECT = 3  # the fourth object of 4 MiB is held by the base only


@pytest.fixture(scope="module")
def g(ceph_bed: Bed) -> Iterator[Ground]:
    with ground(ceph_bed) as made:
        yield made


def newest_is_complete(here: Site, there: Site, name: str) -> bool:
    """Has the peer's copy the newest mirror snapshot, in full?"""
    with calls.opened(here) as io, rbd.Image(io, name, read_only=True) as image:
        newest = max(int(found["id"]) for found in image.list_snaps() if "mirror" in found)
    with calls.opened(there) as io:
        try:
            with rbd.Image(io, name, read_only=True) as copy:
                return any(
                    found["mirror"]["complete"] and found["mirror"]["primary_snap_id"] == newest
                    for found in copy.list_snaps() if "mirror" in found
                )
        except rbd.ImageNotFound:
            return False


def problems(site: Site, name: str) -> str:
    """What OneDR finds wrong with an image."""
    with connection.connect(CephAccess("one", "oneadmin", str(site.ceph_conf))) as pool:
        found = image_facts.image_facts(pool, name, Settings(protect=True))
    assert found is not None
    return "; ".join(found.problems)


def test_the_installed_ceph_damages_a_mirrored_clone_in_snapshot_mode(g: Ground, tmp_path: Path) -> None:
    """Plain `rbd` commands. Should this fail one day, the release named in the message can mirror clones in snapshot mode."""
    release = subprocess.run(["ceph", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    calls.random_file(tmp_path / "base", 16 * MIB)
    rbd_ = g.here.rbd
    rbd_("import", str(tmp_path / "base"), "one/plain")
    rbd_("snap", "create", "one/plain@snap")
    rbd_("snap", "protect", "one/plain@snap")
    rbd_("clone", "one/plain@snap", "one/plain-clone")
    rbd_("mirror", "image", "enable", "one/plain", "snapshot")
    until("the base at the peer", lambda: newest_is_complete(g.site, g.there, "plain"), LIMIT_S)
    rbd_("mirror", "image", "enable", "one/plain-clone", "snapshot")
    until("the clone at the peer", lambda: newest_is_complete(g.site, g.there, "plain-clone"), LIMIT_S)
    assert digest(g.site, "plain-clone") == digest(g.there, "plain-clone"), "its first copy is right"
    calls.write(g.site, "plain-clone", os.urandom(4096), OBJECT * 4 * MIB + MIB)
    for _ in range(2):
        rbd_("mirror", "image", "snapshot", "one/plain-clone")
        until("the newest snapshot at the peer", lambda: newest_is_complete(g.site, g.there, "plain-clone"), LIMIT_S)
        assert digest(g.site, "plain-clone") != digest(g.there, "plain-clone"), (
            f"{release} no longer damages clones in snapshot mode: their copy is equal after a copy-up write"
        )
    for site in (g.site, g.there):
        assert "is a clone mirrored in snapshot mode" in problems(site, "plain-clone"), "OneDR says so at both sites"
    rbd_("flatten", "--no-progress", "one/plain-clone")
    rbd_("mirror", "image", "snapshot", "one/plain-clone")
    until("the newest snapshot at the peer", lambda: newest_is_complete(g.site, g.there, "plain-clone"), LIMIT_S)
    assert digest(g.site, "plain-clone") != digest(g.there, "plain-clone"), f"{release}: flattening afterwards has healed it"


def test_through_the_drivers_the_same_writes_arrive(g: Ground, tmp_path: Path) -> None:
    g.settings(DR_MODE="SNAPSHOT")
    name = g.base(600, tmp_path)
    disk = g.clone(7, name)
    g.protected(disk)
    assert facts(g.site, disk)["parent"] is facts(g.there, disk)["parent"] is None
    calls.write(g.site, disk, os.urandom(4096), OBJECT * 4 * MIB + MIB)
    for _ in range(2):
        g.publish(disk)
        until("the newest snapshot at the peer", lambda: newest_is_complete(g.site, g.there, disk), LIMIT_S)
        assert digest(g.site, disk) == digest(g.there, disk)
