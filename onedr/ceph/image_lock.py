"""A lock on one image among all processes of all hosts, in its pool, for operations of a few seconds.

When several clients change the snapshots of one image at once, librbd 16.2.15 sometimes crashes
(docs/measured.md).
"""
from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import rados

from onedr.ceph.connection import Pool
from onedr.host.waiting import attempts
from onedr.model.errors import StorageError

_OBJECT = "onedr.alone"
_LOCKS = 64  # locks on that object for each purpose, shared by all images
_LASTS_S, _LIMIT_S, _PAUSE_S = 20, 40, 0.05


@contextmanager
def image_lock(pool: Pool, image: str, purpose: str) -> Iterator[None]:
    """Hold the lock of an image (its id or name) for a purpose, one word. The lock of a dead process expires.

    Raises StorageError when another process holds it for too long.
    """
    lock, cookie = f"{purpose}.{zlib.crc32(image.encode()) % _LOCKS}", os.urandom(16).hex()
    for last in attempts(_LIMIT_S, _PAUSE_S):
        try:
            pool.io.lock_exclusive(_OBJECT, lock, cookie, "OneDR", _LASTS_S)
            break
        except (rados.ObjectBusy, rados.ObjectExists) as error:
            if last:
                raise StorageError(
                    f"RBD image {pool.access.pool}/{image} has been locked by another process that is "
                    f"{purpose} it for {_LIMIT_S} s; try again."
                ) from error
    try:
        yield
    finally:
        with suppress(rados.ObjectNotFound):  # it has expired
            pool.io.unlock(_OBJECT, lock, cookie)
