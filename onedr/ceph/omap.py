"""Omaps: small tables of text to bytes that RADOS stores with an object. A missing object counts as an empty
one.

Every function raises rados.Error when Ceph refuses the request.
"""
from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import rados

from onedr.ceph import parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError

_AT_ONCE, _THREADS = 32, 4  # requests in flight for each thread of read_many
_PAGE = 1000  # values per request; an OSD returns at most osd_max_omap_entries_per_request (1024)


def read_keys(pool: Pool, name: str, keys: Iterable[str]) -> dict[str, bytes]:
    """The values of `keys`. Missing keys are left out."""
    with rados.ReadOpCtx() as operation:
        pairs, _ = pool.io.get_omap_vals_by_keys(operation, tuple(keys))
        return _values(pairs) if _read(pool, name, operation) else {}


def read_all(pool: Pool, name: str, prefix: str = "") -> dict[str, bytes]:
    """All values whose key starts with `prefix`, in order of the keys."""
    found: dict[str, bytes] = {}
    while True:
        with rados.ReadOpCtx() as operation:
            pairs, _ = pool.io.get_omap_vals(operation, next(reversed(found), ""), prefix, _PAGE)
            page = _values(pairs) if _read(pool, name, operation) else {}
        if not page:
            return found
        found.update(page)


def read_many(
    pool: Pool, names: Iterable[str], prefix: str = "", limit_s: float = 30.0
) -> dict[str, dict[str, bytes]]:
    """`read_all` for many objects, whose requests are in flight together.

    An object that cannot be read, or not within `limit_s`, or with a key that is not UTF-8, is left out.
    """
    return _in_chunks(names, lambda chunk: _read_chunk(pool, chunk, prefix), limit_s)


def read_keys_of_many(
    pool: Pool, names: Iterable[str], keys: Iterable[str], limit_s: float = 30.0
) -> dict[str, dict[str, bytes]]:
    """`read_keys` for many objects, in the same way."""
    wanted = tuple(keys)

    def read(chunk: tuple[str, ...]) -> dict[str, dict[str, bytes]]:
        return _begun(pool, chunk, lambda operation: pool.io.get_omap_vals_by_keys(operation, wanted)[0])

    return _in_chunks(names, read, limit_s)


def _in_chunks(
    names: Iterable[str], read: Callable[[tuple[str, ...]], dict[str, dict[str, bytes]]], limit_s: float
) -> dict[str, dict[str, bytes]]:
    ordered = list(dict.fromkeys(names))
    chunks = [tuple(ordered[at:at + _AT_ONCE]) for at in range(0, len(ordered), _AT_ONCE)]
    found = parallel.each(chunks, read, limit_s, _THREADS)
    return {
        name: values
        for chunk in found.values() if not isinstance(chunk, OneDRError)
        for name, values in chunk.items()
    }


def _read_chunk(pool: Pool, names: tuple[str, ...], prefix: str) -> dict[str, dict[str, bytes]]:
    found = _begun(pool, names, lambda operation: pool.io.get_omap_vals(operation, "", prefix, _PAGE)[0])
    for name in [name for name, values in found.items() if len(values) >= _PAGE]:
        del found[name]
        with suppress(UnicodeDecodeError):  # a key that is no text
            found[name] = read_all(pool, name, prefix)
    return found


def _begun(
    pool: Pool, names: tuple[str, ...], ask: Callable[[rados.ReadOp], Iterable[tuple[object, bytes | None]]]
) -> dict[str, dict[str, bytes]]:
    """What `ask` reads of each object, all in flight at once."""
    begun = []
    for name in names:
        operation = pool.io.create_read_op()
        pairs = ask(operation)
        begun.append((name, operation, pairs, pool.io.operate_aio_read_op(operation, name)))
    found: dict[str, dict[str, bytes]] = {}
    for name, operation, pairs, completion in begun:
        completion.wait_for_complete()
        result = completion.get_return_value()
        with suppress(UnicodeDecodeError):  # a key that is no text
            if result >= 0 or result == -errno.ENOENT:
                found[name] = _values(pairs) if result >= 0 else {}
        pool.io.release_read_op(operation)
    return found


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


def drop_keys(pool: Pool, name: str, *keys: str) -> None:
    """Remove these keys where they exist. Raises rados.ObjectNotFound when there is no object."""
    with rados.WriteOpCtx() as operation:
        pool.io.remove_omap_keys(operation, keys)
        pool.io.operate_write_op(operation, name)


def _read(pool: Pool, name: str, operation: rados.ReadOp) -> bool:
    """Run the operation. False when there is no such object."""
    try:
        pool.io.operate_read_op(operation, name)
    except rados.ObjectNotFound:
        return False
    return True


def _values(pairs: Iterable[tuple[object, bytes | None]]) -> dict[str, bytes]:
    return {str(key): value or b"" for key, value in pairs}  # rados gives an empty value as None
