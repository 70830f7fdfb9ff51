"""Does a pool take what its peer writes? A peer that only sends is Ceph's own way to pause all copies of a
pool (docs/ceph-facts.md C59).
"""
from __future__ import annotations

from struct import pack

import rados
import rbd

from onedr.ceph.connection import Pool
from onedr.model.errors import StorageError

_OBJECT, _METHOD = "rbd_mirroring", "mirror_peer_set_direction"  # python-rbd cannot set it
_SENDS, _BOTH = rbd.RBD_MIRROR_PEER_DIRECTION_TX, rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX


def is_paused(pool: Pool) -> bool:
    """Has the pool a peer that it could read, and reads none? Raises rbd.Error."""
    peers = _peers(pool)
    return bool(peers) and all(direction == _SENDS for direction in peers.values())


def set_receiving(pool: Pool, wanted: bool) -> bool:
    """Let the pool take what its peer writes, or not. Returns whether that changed anything. Reads back.

    Raises StorageError, rbd.Error.
    """
    peers = _peers(pool)
    direction = _BOTH if wanted else _SENDS
    if not peers:
        raise StorageError(f"Pool {pool.access.pool} has no peer; onedr setup makes one.")
    others = [uuid for uuid, now in peers.items() if (now == _SENDS) == wanted]
    for uuid in others:
        name = uuid.encode()
        text = pack(f"<I{len(name)}sB", len(name), name, direction)
        try:
            pool.io.execute(_OBJECT, "rbd", _METHOD, text)
        except rados.Error as error:
            where = f"pool {pool.access.pool}"
            raise StorageError(f"The direction of a peer of {where} was not set: {error}") from error
    if is_paused(pool) == wanted:
        raise StorageError(f"The peers of pool {pool.access.pool} are as before although they were changed.")
    return bool(others)


def _peers(pool: Pool) -> dict[str, int]:
    """Direction by id. Who only noted itself here, to be known as a reader, has no user to be read with."""
    return {
        str(peer["uuid"]): int(peer["direction"])
        for peer in pool.rbd.mirror_peer_list(pool.io) if peer["client_name"]
    }
