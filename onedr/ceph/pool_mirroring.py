"""Mirroring of a pool: its mode, its peer, its schedule of mirror snapshots.

For `onedr setup`; images are in ceph.mirroring.
"""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import rados
import rbd

from onedr.ceph import mon_host as ceph_mon_host
from onedr.ceph.admin import AbsentError, Cluster
from onedr.model.errors import StorageError

SITE_NAME = "rbd/mirror/site_name"  # where the monitors keep it
_MODES = {
    rbd.RBD_MIRROR_MODE_DISABLED: "disabled",
    rbd.RBD_MIRROR_MODE_IMAGE: "image",
    rbd.RBD_MIRROR_MODE_POOL: "pool",
}
_RBD = rbd.RBD()


@dataclass(frozen=True)
class PoolPeer:
    """A mirror peer of a pool; `mon_host`, `key`: how it is reached, empty when Ceph does not keep that."""

    uuid: str
    site: str
    both_ways: bool
    mon_host: str = ""
    key: str = field(default="", repr=False)

    @property
    def hosts(self) -> frozenset[str]:
        return monitor_hosts(self.mon_host)


def application(cluster: Cluster, pool: str) -> str | None:
    """What a pool is for: `rbd`, `cephfs`, empty for nothing yet; None: there is no such pool."""
    try:
        found = cluster.mon("osd pool application get", pool=pool)
    except AbsentError:
        return None
    return "rbd" if "rbd" in found else next(iter(found), "")


def initialise(cluster: Cluster, pool: str) -> None:
    """Make it an RBD pool; done already is done."""
    _RBD.pool_init(cluster.pool(pool), False)


def pool_mode(cluster: Cluster, pool: str) -> str:
    """disabled, image or pool."""
    return _MODES[_RBD.mirror_mode_get(cluster.pool(pool))]


def set_mode(cluster: Cluster, pool: str, wanted: str) -> None:
    """Raises StorageError, also when images are still mirrored that would be no more."""
    number = next(number for number, name in _MODES.items() if name == wanted)
    _RBD.mirror_mode_set(cluster.pool(pool), number)


def set_site(cluster: Cluster, name: str | None) -> None:
    """What this cluster is called in mirroring; None: it has no name, as in a new cluster."""
    if name is None:
        cluster.store(SITE_NAME, None)
    else:
        _RBD.mirror_site_name_set(cluster.rados, name)


def pool_peers(cluster: Cluster, pool: str) -> list[PoolPeer]:
    """The pool's peers."""
    io, found = cluster.pool(pool), []
    for each in _RBD.mirror_peer_list(io):
        try:
            way = _RBD.mirror_peer_get_attributes(io, each["uuid"])
        # its address is in a configuration file, or not ours to read
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

    Makes the user client.rbd-mirror-peer, whose rights must be Ceph's own if it is there.
    """
    return str(_RBD.mirror_peer_bootstrap_create(cluster.pool(pool)))


def use_token(cluster: Cluster, pool: str, token: str) -> None:
    """Become peers, both ways; the other site must be reachable. Raises StorageError."""
    try:
        _RBD.mirror_peer_bootstrap_import(cluster.pool(pool), rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX, token)
    except rbd.Error as error:
        raise StorageError(f"Ceph does not join pool {pool} to its peer: {error}") from error


def remove_peers(cluster: Cluster, pool: str, kept: Collection[str]) -> None:
    """Let go of the pool's peers but those whose ids are `kept`."""
    io = cluster.pool(pool)
    for each in list(_RBD.mirror_peer_list(io)):
        if each["uuid"] not in kept:
            _RBD.mirror_peer_remove(io, each["uuid"])


def mirrored(cluster: Cluster, pool: str) -> int:
    """How many of the pool's images are mirrored."""
    try:
        return len(list(_RBD.mirror_image_info_list(cluster.pool(pool))))
    except rados.ObjectNotFound:
        return 0


def schedule(cluster: Cluster, pool: str) -> str | None:
    """Between mirror snapshots of all images of the pool; several: with a comma.

    None: there is none for the pool as a whole.
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
    """Exactly these."""
    if schedule(cluster, pool) is not None:
        cluster.mgr("rbd mirror snapshot schedule remove", level_spec=f"{pool}/")
    for interval in (wanted or "").split(","):
        if interval:
            cluster.mgr("rbd mirror snapshot schedule add", level_spec=f"{pool}/", interval=interval)
