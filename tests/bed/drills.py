"""What the tests of drills share: what a site is like, to be compared before and after, and a network apart."""
from __future__ import annotations

from typing import Any

import workload as w

from onedr.ceph.connection import Pool
from sandbox.cloud import Cloud

NETWORK = "fire-drill"
_MIRROR = 3  # RBD_SNAP_NAMESPACE_TYPE_MIRROR


def make_network(cloud: Cloud) -> None:
    """For drills, with addresses of the loopback, where a test can listen in the guests' stead; and an objective."""
    cloud.api.vn.allocate(f'NAME={NETWORK}\nVN_MAD=dummy\nBRIDGE=br9\nAR=[TYPE=IP4,IP="127.0.9.10",SIZE=20]\n', -1)
    cloud.api.datastore.update(cloud.datastore_id, f'DR_DRILL_NETWORK="{NETWORK}"\nDR_RTO="120s"', 1)


def site_as_it_is(cloud: Cloud) -> Any:
    """All that a drill might leave behind: RBD images with snapshots, trash, VMs, images, leases."""
    api = cloud.api
    with w.open_pool(cloud) as pool:
        snapshots = {name: snapshots_of(pool, name) for name in pool.names()}
        trash = [entry["name"] for entry in pool.rbd.trash_list(pool.io)]
    vms = sorted((vm.ID, vm.NAME) for vm in api.vmpool.infoextended(-2, -1, -1, -1).VM)
    images = sorted((image.ID, image.NAME, image.STATE) for image in api.imagepool.info(-2, -1, -1).IMAGE)
    leases = {net.NAME: net.USED_LEASES for net in api.vnpool.info(-2, -1, -1).VNET}
    return snapshots, trash, vms, images, leases


def snapshots_of(pool: Pool, name: str) -> list[str]:
    """User snapshots and those in the trash for a clone's sake; mirror snapshots come and go by themselves."""
    with pool.image(name, read_only=True) as image:
        return sorted(str(snap["name"]) for snap in image.list_snaps() if snap.get("namespace") != _MIRROR)

