"""How much room a pool has, and how much of it a clone would take when it is flattened."""
from __future__ import annotations

import rbd

from onedr.ceph.connection import Pool
from onedr.model.types import MIB

_SPARE = 10  # percent of the free space that stays free whatever is copied
_NEARLY_FULL = ("OSD_NEARFULL", "OSD_BACKFILLFULL", "OSD_FULL", "POOL_FULL")


def lack(pool: Pool, name: str, need: int) -> str | None:
    """None when the pool `name` has room for `need` bytes more, else what is missing. Raises StorageError."""
    raised = sorted(set(pool.mon(prefix="health")["checks"]) & set(_NEARLY_FULL))
    if raised:
        return f"Ceph reports {', '.join(raised)}"
    stats = next(
        (
            entry["stats"]
            for entry in pool.mon(prefix="df", detail="detail")["pools"]
            if entry["name"] == name
        ),
        None,
    )
    if stats is None:
        return f"Ceph's df does not list pool {name}"
    free = int(stats["max_avail"])
    if stats.get("quota_bytes"):
        free = min(free, int(stats["quota_bytes"]) - int(stats.get("stored") or stats["bytes_used"]))
    if need <= free * (100 - _SPARE) // 100:
        return None
    return (
        f"it needs {need // MIB} MiB and pool {name} has {max(0, free) // MIB} MiB free, of which {_SPARE} % "
        "stay free"
    )


def used(pool: Pool, name: str) -> int:
    """Bytes that an image itself holds, by whole objects: what a copy of it takes. Raises rbd.Error."""
    found = 0

    def count(_: int, length: int, exists: bool) -> None:
        nonlocal found
        found += length if exists else 0

    with pool.image(name, read_only=True) as image:
        image.diff_iterate(0, int(image.size()), None, count, include_parent=False, whole_object=True)
    return found


def held(pool: Pool, parent: tuple[str, str, str], size: int) -> int:
    """Bytes that the first `size` bytes of a snapshot (pool, image, snapshot) hold: what flattening a clone
    may take.
    """
    where, name, snapshot = parent
    found = 0

    def count(_: int, length: int, exists: bool) -> None:
        nonlocal found
        found += length if exists else 0

    io = pool.io if where == pool.access.pool else pool.cluster.open_ioctx(where)
    with rbd.Image(io, name, snapshot=snapshot, read_only=True) as image:
        image.diff_iterate(0, size, None, count, include_parent=True, whole_object=True)
    return found
