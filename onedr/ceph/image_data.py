"""An image's bytes: where data is, and new content in place.

Written in place, it remains the same RBD image and its mirroring continues. Only differing bytes are written,
so only they are replicated.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator

import rbd

from onedr.ceph import images, mirroring
from onedr.ceph.connection import Pool

_CHUNK = 4 * 1024 * 1024
_GRAIN = 64 * 1024


def areas(image: rbd.Image) -> list[tuple[int, int]]:
    """(offset, length) of the areas that may hold data, in order.

    A clone is one area, because Ceph 16.2.15 does not report its parent's data reliably.
    """
    size, found = int(image.size()), []
    if images.has_parent(image):
        return [(0, size)] if size else []

    def note(offset: int, length: int, exists: bool) -> None:
        if exists:
            found.append((offset, length))

    image.diff_iterate(0, size, None, note)
    return sorted(found)


def read_areas(image: rbd.Image, wanted: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """The bytes of these areas, at most 4 MiB at a time."""
    for start, length in wanted:
        for offset in range(start, start + length, _CHUNK):
            yield bytes(image.read(offset, min(_CHUNK, start + length - offset)))


def rewrite(pool: Pool, name: str, size: int, blocks: Iterable[tuple[int, bytes]]) -> int:
    """Replace the image's content by these (offset, bytes), zeros elsewhere. It grows to `size` and never
    shrinks. Returns the bytes written.

    Zeros are written as zeros: snapshot mode does not replicate discards (docs/ceph-facts.md C2). In snapshot
    mode a mirror snapshot publishes the result. When it is interrupted and repeated, the result is the same.
    Raises rbd.Error.
    """
    written = 0
    with pool.image(name) as image:
        if image.size() < size:
            image.resize(size)
        end = 0
        for offset, block in blocks:
            written += _zero(image, end, offset) + write_differing(image, offset, block)
            end = offset + len(block)
        written += _zero(image, end, int(image.size()))
        image.flush()
        mirroring.publish_changes(pool, image)
    return written


def _zero(image: rbd.Image, start: int, end: int) -> int:
    return sum(
        write_differing(image, offset, bytes(min(_CHUNK, end - offset)))
        for offset in range(start, end, _CHUNK)
    )


def write_differing(image: rbd.Image, offset: int, wanted: bytes) -> int:
    """Write those blocks of `wanted` that differ in the image. Returns the bytes written."""
    there = image.read(offset, len(wanted))
    if there == wanted:
        return 0
    written = 0
    for start, end in _runs(there, wanted):
        image.write(wanted[start:end], offset + start)
        written += end - start
    return written


def _runs(there: bytes, wanted: bytes) -> Iterator[tuple[int, int]]:
    """The parts that differ, in blocks; adjacent ones are joined."""
    start = None
    for at in range(0, len(wanted), _GRAIN):
        same = there[at: at + _GRAIN] == wanted[at: at + _GRAIN]
        if start is None and not same:
            start = at
        elif start is not None and same:
            yield start, at
            start = None
    if start is not None:
        yield start, len(wanted)
