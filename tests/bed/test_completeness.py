"""The fact that completeness rests on: a copy gets its metadata only when all its data is there (docs/measured.md)."""
from __future__ import annotations

import os
import time
from functools import partial

import pytest
import rados
import rbd
from driver_calls import arrives, digest

from sandbox.bed import Bed
from sandbox.waiting import until

_MIB = 1 << 20
_SIZE = 384 * _MIB


@pytest.mark.parametrize("mode", [rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT])
def test_a_copy_that_carries_metadata_is_complete(ceph_bed: Bed, mode: int) -> None:
    a, b = (_connect(site.ceph_conf) for site in ceph_bed.sites.values())
    name = f"complete-{mode}"
    data = os.urandom(4 * _MIB)
    with a.open_ioctx("one") as here, b.open_ioctx("one") as there:
        rbd.RBD().create(here, name, _SIZE, old_format=False)
        with rbd.Image(here, name) as image:
            for offset in range(0, _SIZE, len(data)):
                image.write(data, offset)
            image.metadata_set("onedr.image", "before")
            image.mirror_image_enable(mode)
            image.metadata_set("onedr.mark", "after")

        def keys_at_the_peer() -> list[str]:
            try:
                with rbd.Image(there, name, read_only=True) as copy:
                    keys = [key for key, _ in copy.metadata_list()]
                    if keys:
                        for offset in range(0, _SIZE, len(data)):
                            assert copy.read(offset, len(data)) == data, f"{keys} arrived before the data at {offset}"
                    return keys
            except rbd.ImageNotFound:
                return []

        until("metadata at the peer", keys_at_the_peer, 90)
    a.shutdown()
    b.shutdown()


def _connect(conf: object) -> rados.Rados:
    cluster = rados.Rados(conffile=str(conf), name="client.oneadmin")
    cluster.connect(timeout=10)
    return cluster


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_pool_whose_peer_only_sends_keeps_its_copies_and_receives_nothing_until_it_does_again(ceph_bed: Bed) -> None:
    """Ceph's own way to pause, of a whole pool (docs/ceph-facts.md C59)."""
    a, b = ceph_bed.sites.values()
    modes = {"paused-journal": rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, "paused-snapshot": rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT}
    for name, mode in modes.items():
        write(ceph_bed, name, mode, b"before")
    old = {name: digest(a, name) for name in modes}
    for name in modes:
        arrives(b, name, old[name], 120)
    peer_of(ceph_bed, "tx-only")
    until("rbd-mirror to let go of the images", lambda: not any(map(partial(is_replayed, ceph_bed), modes)), 120, 0.5)
    for name, mode in modes.items():
        write(ceph_bed, name, mode, b"after")
    new = {name: digest(a, name) for name in modes}
    ceph_bed.stop("site-b", "mirror")
    ceph_bed.start("site-b", "mirror")
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:  # a daemon that was restarted, and has read the peers again, takes nothing either
        assert {name: digest(b, name) for name in modes} == old != new
    begun = time.monotonic()
    peer_of(ceph_bed, "rx-tx")
    for name in modes:
        arrives(b, name, new[name], 180)
    print(f"the copies were equal {time.monotonic() - begun:.1f} s after the peer received again")


PATIENCE_S = 70  # rbd_mirror_pool_replayers_refresh_interval is 30 s


def write(bed: Bed, name: str, mode: int, text: bytes) -> None:
    """Fill the first MiB of an image at A, made and mirrored if need be; a mirror snapshot in snapshot mode."""
    cluster = _connect(bed.sites["site-a"].ceph_conf)
    with cluster.open_ioctx("one") as here:
        if name not in rbd.RBD().list(here):
            rbd.RBD().create(here, name, 16 * _MIB, old_format=False)
        with rbd.Image(here, name) as image:
            if image.mirror_image_get_info()["state"] != rbd.RBD_MIRROR_IMAGE_ENABLED:
                image.mirror_image_enable(mode)
            image.write((text * _MIB)[:_MIB], 0)
            image.flush()
            if mode == rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT:
                image.mirror_image_create_snapshot()
    cluster.shutdown()


def peer_of(bed: Bed, direction: str) -> None:
    """What B's pool does with its peer."""
    cluster = _connect(bed.sites["site-b"].ceph_conf)
    with cluster.open_ioctx("one") as there:
        (peer,) = rbd.RBD().mirror_peer_list(there)
    cluster.shutdown()
    bed.run("site-b", ["rbd", "mirror", "pool", "peer", "set", "one", peer["uuid"], "direction", direction], check=True)


def is_replayed(bed: Bed, name: str) -> bool:
    """Does B's rbd-mirror say that it works on the copy?"""
    cluster = _connect(bed.sites["site-b"].ceph_conf)
    with cluster.open_ioctx("one") as there, rbd.Image(there, name, read_only=True) as image:
        is_up = bool(image.mirror_image_get_status()["up"])
    cluster.shutdown()
    return is_up
