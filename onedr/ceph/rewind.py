"""Give an image the content of a point in time, in place: Ceph rolls back to users' snapshots only
(docs/ceph-facts.md C44).
"""
from __future__ import annotations

from collections.abc import Iterable

import rbd

from onedr.ceph import group_snapshots, image_data, object_map, parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError, StorageError

_PIECE = 2 * 1024 * 1024  # compared at once; each thread holds twice as much in memory
_THREADS = 4
_LIMIT_S = 300  # of one piece


def write_back(pool: Pool, source: str, snapshot: str, target: str, until: str = "") -> int:
    """Write what differs into `target`, so that it holds what the group snapshot of `source` does. Returns
    the bytes compared.

    `target` is `source` itself, or a clone of its user snapshot `until`. Where Ceph's object maps tell what
    was written between the two, only that is compared. Repeated, it does what is missing. Reads the size
    back. Raises OneDRError, rbd.Error.
    """
    with pool.image(source, read_only=True) as held, pool.image(target) as image:
        number = _number_of(held, source, snapshot)
        spans = object_map.written_since(pool, held, number, until)
        held.set_snap_by_id(number)
        return _write(held, image, target, [(0, int(held.size()))] if spans is None else spans)


def _write(held: rbd.Image, image: rbd.Image, target: str, spans: Iterable[tuple[int, int]]) -> int:
    size = int(held.size())
    if image.size() != size:
        image.resize(size)
    pieces = list(_pieces(size, spans))
    results = parallel.each(
        pieces, lambda piece: image_data.write_differing(image, piece[0], held.read(*piece)), _LIMIT_S,
        _THREADS,
    )
    for result in results.values():
        if isinstance(result, OneDRError):
            raise result
    image.flush()
    if image.size() != size:
        raise StorageError(f"RBD image {target} has not the size of its point after it was taken back.")
    return sum(length for _, length in pieces)


def copy_point(pool: Pool, held: rbd.Image, number: int, target: str) -> None:
    """A new image `target` with what an open image holds at the snapshot of this id. One of that name that a
    killed call left incomplete is replaced. Raises StorageError when `target` exists, OneDRError, rbd.Error.
    """
    if pool.exists(target):
        raise StorageError(f"RBD image {pool.access.pool}/{target} exists already.")
    held.set_snap_by_id(number)
    size, partial = int(held.size()), f"{target}-incomplete"
    if pool.exists(partial):
        pool.rbd.remove(pool.io, partial)
    pool.rbd.create(pool.io, partial, size, old_format=False)
    with pool.image(partial) as image:
        _write(held, image, partial, [(0, size)])
    pool.rbd.rename(pool.io, partial, target)


def copy_over(pool: Pool, source: str, target: str) -> None:
    """Write what differs into `target`, so that it holds what `source` does. As `write_back`."""
    with pool.image(source, read_only=True) as held, pool.image(target) as image:
        _write(held, image, target, [(0, int(held.size()))])


def _number_of(image: rbd.Image, name: str, snapshot: str) -> int:
    for each in group_snapshots.of_image(image):
        if each.name == snapshot:
            return each.number
    raise StorageError(f"RBD image {name} has the chosen point no more; choose another one.")


def _pieces(size: int, spans: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for begin, length in spans:
        for at in range(begin, min(begin + length, size), _PIECE):
            yield at, min(_PIECE, begin + length - at, size - at)
