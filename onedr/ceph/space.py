"""Free space of a pool, and the space that images and flattened clones take."""
from __future__ import annotations

import rbd

from onedr.ceph.connection import Pool
from onedr.model.types import MIB

_SPARE = 10  # percent of the free space that must remain free
_NEARLY_FULL = ("OSD_NEARFULL", "OSD_BACKFILLFULL", "OSD_FULL", "POOL_FULL")


def shortage(pool: Pool, name: str, need: int) -> str | None:
    """None when the pool `name` has space for `need` more bytes, else what is missing.

    Raises StorageError.
    """
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
        "must remain free"
    )


def own_bytes(pool: Pool, name: str) -> int:
    """Bytes of the objects that an image has of its own, without its parent's. Raises rbd.Error."""
    with pool.image(name, read_only=True) as image:
        return allocated_bytes(image, int(image.size()), include_parent=False)


def snapshot_bytes(pool: Pool, parent: tuple[str, str, str], size: int) -> int:
    """Bytes allocated to the first `size` bytes of a snapshot (pool, image, snapshot): what flattening a
    clone of it takes at most.
    """
    where, name, snapshot = parent
    io = pool.io if where == pool.access.pool else pool.cluster.open_ioctx(where)
    with rbd.Image(io, name, snapshot=snapshot, read_only=True) as image:
        return allocated_bytes(image, size, include_parent=True)


def allocated_bytes(image: rbd.Image, size: int, include_parent: bool) -> int:
    """Bytes of the whole objects that exist within the first `size` bytes of an open image."""
    lengths: list[int] = []
    image.diff_iterate(
        0, size, None, lambda _, length, exists: lengths.append(length if exists else 0),
        include_parent=include_parent, whole_object=True,
    )
    return sum(lengths)
