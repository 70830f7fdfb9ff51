"""Omaps: small tables of text to bytes that RADOS stores with an object. A missing object counts as an empty
one.

Every function raises rados.Error when Ceph refuses the request.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping

import rados

from onedr.ceph.connection import Pool

_PAGE = 1000  # values per request; an OSD returns at most osd_max_omap_entries_per_request (1024)


def read_keys(pool: Pool, name: str, keys: Iterable[str]) -> dict[str, bytes]:
    """The values of `keys`. Missing keys are left out."""
    with rados.ReadOpCtx() as operation:
        pairs, _ = pool.io.get_omap_vals_by_keys(operation, tuple(keys))
        return {str(key): bytes(value) for key, value in pairs} if _read(pool, name, operation) else {}


def read_all(pool: Pool, name: str, prefix: str = "") -> dict[str, bytes]:
    """All values whose key starts with `prefix`, in order of the keys."""
    found: dict[str, bytes] = {}
    while True:
        with rados.ReadOpCtx() as operation:
            pairs, _ = pool.io.get_omap_vals(operation, next(reversed(found), ""), prefix, _PAGE)
            page = {str(key): bytes(value) for key, value in pairs} if _read(pool, name, operation) else {}
        if not page:
            return found
        found.update(page)


def list_keys(pool: Pool, name: str, prefix: str) -> list[str]:
    """The keys that start with `prefix`, in order."""
    found: list[str] = []
    while True:
        with rados.ReadOpCtx() as operation:
            pairs, _ = pool.io.get_omap_keys(operation, found[-1] if found else prefix, _PAGE)
            page = [str(key) for key, _ in pairs] if _read(pool, name, operation) else []
        page = [key for key in page if key.startswith(prefix)]
        if not page:
            return found
        found += page


def write_keys(pool: Pool, name: str, values: Mapping[str, bytes]) -> None:
    """Set these values. The object is created when missing."""
    with rados.WriteOpCtx() as operation:
        pool.io.set_omap(operation, tuple(values), tuple(values.values()))
        pool.io.operate_write_op(operation, name)


def drop_keys(pool: Pool, name: str, key: str) -> None:
    """Remove a key if it exists. Raises rados.ObjectNotFound when there is no object."""
    with rados.WriteOpCtx() as operation:
        pool.io.remove_omap_keys(operation, (key,))
        pool.io.operate_write_op(operation, name)


def _read(pool: Pool, name: str, operation: rados.ReadOp) -> bool:
    """Run the operation. False when there is no such object."""
    try:
        pool.io.operate_read_op(operation, name)
    except rados.ObjectNotFound:
        return False
    return True
