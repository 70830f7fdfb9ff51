"""How the mirror peer's cluster is reached: with the address and key that Ceph stores, or as rbd-mirror does
where the peer was added by hand.
"""
from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import rados
import rbd

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.ceph.keyring import key_in
from onedr.model.parsing import NAME

CONF_FOLDER = Path("/etc/ceph")


class PeerAccess(NamedTuple):
    """How Ceph itself reaches a mirror peer. An empty `mon_host`: librados finds the monitors by DNS SRV."""

    mon_host: str
    key: str
    client: str


def peer_access(pool: Pool) -> PeerAccess | None:
    """Of the first peer whose key our user may read; None when there is none (the key stays unread with
    `profile rbd`; mon `profile rbd-mirror` lets it be read).

    Where Ceph stores no key, the peer was added by hand (`rbd mirror pool peer add`): then it is looked for
    where rbd-mirror itself looks.
    """
    for peer in pool.rbd.mirror_peer_list(pool.io):
        found = _attributes(pool, str(peer["uuid"])) or {}
        client = str(peer.get("client_name") or "client.rbd-mirror-peer")
        if found.get("key"):
            return PeerAccess(str(found.get("mon_host") or ""), str(found["key"]), client)
        by_hand = _added_by_hand(str(peer.get("site_name") or ""), client)
        if by_hand is not None:
            return by_hand
    return None


def _added_by_hand(site: str, client: str) -> PeerAccess | None:
    """/etc/ceph/SITE.conf and SITE.CLIENT.keyring, as Ceph names another cluster's files."""
    conf, keyring = CONF_FOLDER / f"{site}.conf", CONF_FOLDER / f"{site}.{client}.keyring"
    if not (NAME.fullmatch(site) and NAME.fullmatch(client) and conf.is_file() and keyring.is_file()):
        return None
    key = key_in(keyring, client)
    options = {"log_to_stderr": "false", "err_to_stderr": "false"}
    mon_host = str(rados.Rados(name=client, conffile=str(conf), conf=options).conf_get("mon_host") or "")
    return PeerAccess(mon_host, key, client) if key else None


def _attributes(pool: Pool, peer_id: str) -> dict[str, str] | None:
    try:
        return dict(pool.rbd.mirror_peer_get_attributes(pool.io, peer_id))
    except (rbd.ImageNotFound, rbd.PermissionError):
        return None


def connect_peer(access: PeerAccess, limit_s: int, operation_limit_s: int = 0) -> rados.Rados:
    """A connection to the peer's cluster with the key that Ceph stores for mirroring. `operation_limit_s` 0:
    as `limit_s`. librados reads `mon_host` itself, in every form.

    Raises rados.Error.
    """
    key = access.key
    conf = {
        **({"mon_host": access.mon_host} if access.mon_host else {}),
        "key": key,
        "client_mount_timeout": str(limit_s),
        "rados_osd_op_timeout": str(operation_limit_s or limit_s),
        "rados_mon_op_timeout": str(limit_s),
        "log_to_stderr": "false",
        "err_to_stderr": "false",
        "librados_thread_count": connection.IO_THREADS,
        "keyring": "/dev/null",
    }
    cluster = rados.Rados(name=access.client, conf=conf)
    cluster.connect(timeout=limit_s)
    return cluster
