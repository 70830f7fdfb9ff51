"""The fact that completeness rests on: a copy gets its metadata only when all its data is there (docs/measured.md)."""
from __future__ import annotations

import os

import pytest
import rados
import rbd

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
