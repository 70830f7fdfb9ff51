"""Where the journals of many images end, by asynchronous reads: what did not move was not written to
(docs/ceph-facts.md C58).

A journal appends to the objects `journal_data.<pool>.<image's id>.<number>` of its newest set; the set's
number is in the omap of `journal.<image's id>` before anything is appended to it.
"""
from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import rados

from onedr.ceph import journal_header, omap, parallel
from onedr.ceph.connection import Pool
from onedr.ceph.encoding import Decoder, UnknownFormatError
from onedr.model.errors import OneDRError

Item = TypeVar("Item")
Found = TypeVar("Found")

_KEYS = (*journal_header.KEYS, "next_tag_tid", "pool_id")
_SAME_POOL = -1
_MOST_OBJECTS = 16  # of a set; librbd's default is 4
_AT_ONCE, _THREADS = 8, 4  # images for each thread
MOST_TAIL = 16 * 1024  # bytes for each object; a mark needs some hundred


@dataclass(frozen=True)
class JournalEnd:
    """`active`: its newest set of objects; `tag`: the number of its next tag, which each new writer adds;
    `sizes` of the set's objects in bytes, 0 for one that is not there yet.
    """

    active: int
    tag: int
    sizes: tuple[int, ...]


def read_ends(pool: Pool, image_ids: Iterable[str], limit_s: float) -> dict[str, JournalEnd]:
    """By image id. Left out is what cannot be read, or not within `limit_s`, what keeps its journal in
    another pool or an unknown form, and a set with a full object: the next one may be in use already.
    """
    names = {f"journal.{image_id}": image_id for image_id in image_ids}
    headers = {}
    for name, values in omap.read_keys_of_many(pool, names, _KEYS, limit_s).items():
        try:
            headers[names[name]] = _header(values)
        except UnknownFormatError:
            continue
    return _in_chunks(headers, lambda chunk: _ends(pool, chunk), limit_s)


def read_tails(
    pool: Pool, wanted: Mapping[str, tuple[JournalEnd, JournalEnd]], limit_s: float
) -> dict[str, list[bytes]]:
    """By image id, what was appended to each object between two ends. Left out is also what is more than
    MOST_TAIL bytes, or in another set.
    """
    short = {image_id: ends for image_id, ends in wanted.items() if _is_short(*ends)}
    return _in_chunks(short, lambda chunk: _tails(pool, chunk), limit_s)


def _in_chunks(
    items: Mapping[str, Item], action: Callable[[dict[str, Item]], dict[str, Found]], limit_s: float
) -> dict[str, Found]:
    ordered = list(items)
    chunks = [tuple(ordered[at:at + _AT_ONCE]) for at in range(0, len(ordered), _AT_ONCE)]
    done = parallel.each(
        chunks, lambda chunk: action({each: items[each] for each in chunk}), limit_s, _THREADS
    )
    return {
        image_id: value for found in done.values() if not isinstance(found, OneDRError)
        for image_id, value in found.items()
    }


def _header(values: Mapping[str, bytes]) -> tuple[JournalEnd, int]:
    """The end without sizes, and the size of a full object."""
    header = journal_header.decode(values)
    tag, pool_id = Decoder(values.get("next_tag_tid", b"")).u64(), Decoder(values.get("pool_id", b"")).i64()
    if pool_id != _SAME_POOL or not 1 <= header.width <= _MOST_OBJECTS:
        raise UnknownFormatError("the journal is in another pool, or wide")
    return JournalEnd(header.active, tag, (0,) * header.width), header.object_bytes


def _objects(pool: Pool, image_id: str, end: JournalEnd) -> list[str]:
    """Names of the objects of its newest set."""
    width = len(end.sizes)
    first, prefix = end.active * width, f"journal_data.{pool.io.get_pool_id()}.{image_id}"
    return [f"{prefix}.{number}" for number in range(first, first + width)]


def _is_short(before: JournalEnd, after: JournalEnd) -> bool:
    grown = [now - then for then, now in zip(before.sizes, after.sizes)]
    return before.active == after.active and all(0 <= more <= MOST_TAIL for more in grown)


def _ends(pool: Pool, headers: Mapping[str, tuple[JournalEnd, int]]) -> dict[str, JournalEnd]:
    objects = {image_id: _objects(pool, image_id, end) for image_id, (end, _) in headers.items()}
    sizes = _sizes(pool, [name for names in objects.values() for name in names])
    return {
        image_id: replace(headers[image_id][0], sizes=tuple(sizes[name] for name in names))
        for image_id, names in objects.items()
        if all(sizes.get(name, headers[image_id][1]) < headers[image_id][1] for name in names)
    }


def _tails(pool: Pool, wanted: Mapping[str, tuple[JournalEnd, JournalEnd]]) -> dict[str, list[bytes]]:
    pieces = {
        image_id: {
            name: (then, now - then)
            for name, then, now in zip(_objects(pool, image_id, after), before.sizes, after.sizes)
            if now > then
        }
        for image_id, (before, after) in wanted.items()
    }
    data = _data(pool, {name: piece for each in pieces.values() for name, piece in each.items()})
    return {
        image_id: [data[name] for name in each]
        for image_id, each in pieces.items() if all(name in data for name in each)
    }


def _sizes(pool: Pool, names: Iterable[str]) -> dict[str, int]:
    """Bytes of each object, 0 for one that is not there; those that cannot be read are left out."""
    sizes: dict[str, int] = {}

    def begin(name: str) -> rados.Completion:
        def note(_: object, size: int | None, __: object) -> None:
            sizes[name] = size or 0

        return pool.io.aio_stat(name, note)

    begun = [(name, begin(name)) for name in names]
    ended = {name: _result(completion) for name, completion in begun}
    return {name: sizes[name] for name, result in ended.items() if result >= 0 or result == -errno.ENOENT}


def _data(pool: Pool, pieces: Mapping[str, tuple[int, int]]) -> dict[str, bytes]:
    """Pieces of objects, by their offsets and lengths; those that cannot be read in full are left out."""
    data: dict[str, bytes] = {}

    def begin(name: str, offset: int, length: int) -> rados.Completion:
        def note(_: object, found: bytes | None) -> None:
            data[name] = found or b""

        return pool.io.aio_read(name, length, offset, note)

    for completion in [begin(name, *piece) for name, piece in pieces.items()]:
        _result(completion)
    return {name: found for name, found in data.items() if len(found) == pieces[name][1]}


def _result(completion: rados.Completion) -> int:
    completion.wait_for_complete_and_cb()
    return int(completion.get_return_value())
