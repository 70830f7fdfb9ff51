"""The two clusters as mirror peers of each other, and whether mirroring runs."""
from __future__ import annotations

from datetime import datetime

import rados
import rbd

from sandbox.ceph.cluster import command, connect
from sandbox.layout import POOL, Site


def join(first: Site, second: Site, pool: str = POOL) -> None:
    """Make the two pools of this name mirror each other, by one bootstrap token, unless they do."""
    with connect(first) as a, connect(second) as b, a.open_ioctx(pool) as io_a, b.open_ioctx(pool) as io_b:
        if list(rbd.RBD().mirror_peer_list(io_b)):
            return
        token = rbd.RBD().mirror_peer_bootstrap_create(io_a)
        rbd.RBD().mirror_peer_bootstrap_import(io_b, rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX, token)


def mirror_registered(cluster: rados.Rados, since: float) -> bool:
    """Whether an rbd-mirror has registered with the manager after `since` (epoch seconds).

    The entry of a killed daemon stays for up to a minute; the start time distinguishes the two.
    """
    services = command(cluster, prefix="service dump")["services"]
    daemons = services.get("rbd-mirror", {}).get("daemons", {})
    starts = [d["start_stamp"] for d in daemons.values() if isinstance(d, dict)]
    return any(datetime.strptime(s, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() >= since for s in starts)
