"""Mirroring of a pool: its mode, its peer, its schedule of mirror snapshots.

For `onedr setup`; for single images see ceph.mirroring.
"""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import rados
import rbd

from onedr.ceph import mon_host as ceph_mon_host
from onedr.ceph.admin import AbsentError, Cluster
from onedr.model.errors import StorageError

SITE_NAME = "rbd/mirror/site_name"  # key in the monitors' store
_MODES = {
    rbd.RBD_MIRROR_MODE_DISABLED: "disabled",
    rbd.RBD_MIRROR_MODE_IMAGE: "image",
    rbd.RBD_MIRROR_MODE_POOL: "pool",
    # Ceph 20.2 and newer: prepared for mirroring, no image is mirrored.
    getattr(rbd, "RBD_MIRROR_MODE_INIT_ONLY", 3): "init-only",
}
_RBD = rbd.RBD()


@dataclass(frozen=True)
class PoolPeer:
    """A mirror peer of a pool. `mon_host`, `key`: how to reach it; empty when Ceph does not store that."""

    uuid: str
    site: str
    both_ways: bool
    mon_host: str = ""
    key: str = field(default="", repr=False)

    @property
    def hosts(self) -> frozenset[str]:
        return monitor_hosts(self.mon_host)


def application(cluster: Cluster, pool: str) -> str | None:
    """The application of a pool: `rbd`, `cephfs`, empty for none; None when there is no such pool."""
    try:
        found = cluster.mon("osd pool application get", pool=pool)
    except AbsentError:
        return None
    return "rbd" if "rbd" in found else next(iter(found), "")


def initialise(cluster: Cluster, pool: str) -> None:
    """Make it an RBD pool, unless it is one."""
    _RBD.pool_init(cluster.pool(pool), False)


def pool_mode(cluster: Cluster, pool: str) -> str:
    """The mirroring mode of a pool: disabled, init-only, image or pool. StorageError for any other."""
    number = _RBD.mirror_mode_get(cluster.pool(pool))
    if number not in _MODES:
        raise StorageError(f"pool {pool} has mirroring mode {number}, which this OneDR does not know")
    return _MODES[number]


def set_mode(cluster: Cluster, pool: str, wanted: str) -> None:
    """Set the mirroring mode. Raises StorageError, also when mirrored images would lose their mirroring."""
    number = next(number for number, name in _MODES.items() if name == wanted)
    _RBD.mirror_mode_set(cluster.pool(pool), number)


def set_site(cluster: Cluster, name: str | None) -> None:
    """Set this cluster's name in mirroring; None removes it."""
    if name is None:
        cluster.store(SITE_NAME, None)
    else:
        _RBD.mirror_site_name_set(cluster.rados, name)


def pool_peers(cluster: Cluster, pool: str) -> list[PoolPeer]:
    """The mirror peers of a pool."""
    io, found = cluster.pool(pool), []
    for each in _RBD.mirror_peer_list(io):
        try:
            way = _RBD.mirror_peer_get_attributes(io, each["uuid"])
        # its address is in a configuration file, or not readable for us
        except (rbd.ImageNotFound, rbd.PermissionError):
            way = {}
        both = each.get("direction") == rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX
        address, key = str(way.get("mon_host", "")), str(way.get("key", ""))
        found.append(PoolPeer(str(each["uuid"]), str(each["site_name"]), both, address, key))
    return found


def monitor_hosts(mon_host: str) -> frozenset[str]:
    """The addresses in a text such as `[v2:10.0.0.1:3300,v1:10.0.0.1:6789]`."""
    return frozenset(host for host, _ in ceph_mon_host.addresses(mon_host))


def make_token(cluster: Cluster, pool: str) -> str:
    """Ceph's bootstrap token, a secret.

    Creates the user client.rbd-mirror-peer; an existing one must have the caps that Ceph gives it.
    """
    return str(_RBD.mirror_peer_bootstrap_create(cluster.pool(pool)))


def use_token(cluster: Cluster, pool: str, token: str) -> None:
    """Become peers in both directions. The other site must be reachable. Raises StorageError."""
    try:
        _RBD.mirror_peer_bootstrap_import(cluster.pool(pool), rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX, token)
    except rbd.Error as error:
        raise StorageError(f"Ceph could not add the peer of pool {pool}: {error}") from error


def remove_peers(cluster: Cluster, pool: str, kept: Collection[str]) -> None:
    """Remove the pool's peers except those whose ids are in `kept`."""
    io = cluster.pool(pool)
    for each in list(_RBD.mirror_peer_list(io)):
        if each["uuid"] not in kept:
            _RBD.mirror_peer_remove(io, each["uuid"])


def mirrored_count(cluster: Cluster, pool: str) -> int:
    """How many of the pool's images are mirrored."""
    try:
        return len(list(_RBD.mirror_image_info_list(cluster.pool(pool))))
    except rados.ObjectNotFound:
        return 0


def schedule(cluster: Cluster, pool: str) -> str | None:
    """The interval between mirror snapshots of all images of the pool; several are separated by commas.

    None when the pool has no schedule of its own.
    """
    found = cluster.mgr("rbd mirror snapshot schedule list", level_spec=f"{pool}/") or {}
    spans = [
        item["interval"]
        for entry in found.values()
        if entry["name"] == f"{pool}/"
        for item in entry["schedule"]
    ]
    return ",".join(sorted(spans)) or None


def set_schedule(cluster: Cluster, pool: str, wanted: str | None) -> None:
    """Replace the pool's schedule by these intervals."""
    if schedule(cluster, pool) is not None:
        cluster.mgr("rbd mirror snapshot schedule remove", level_spec=f"{pool}/")
    for interval in (wanted or "").split(","):
        if interval:
            cluster.mgr("rbd mirror snapshot schedule add", level_spec=f"{pool}/", interval=interval)
