"""A journal as Ceph's librbd 16.2 writes it, for tests: events dealt out to the objects of one set."""
from __future__ import annotations

import struct
from collections.abc import Iterable

WRITE, FLUSH, FINISH, SNAP_CREATE, SET_METADATA = 1, 2, 3, 4, 16
WIDTH = 4


def entry(tag: int, number: int, kind: int, key: str = "", value: str = "") -> bytes:
    body = struct.pack("<I", kind)
    if kind == SET_METADATA:
        body += struct.pack("<Q", 7) + b"".join(
            struct.pack("<I", len(text.encode())) + text.encode() for text in (key, value)
        )
    else:
        body += bytes(24)
    data = struct.pack("<BBI", 5, 1, len(body)) + body + struct.pack("<BBI", 1, 1, 8) + bytes(8)
    head = struct.pack("<QBQQI", 0x3141592653589793, 1, number, tag, len(data))
    return head + data + bytes(4)


def deal(entries: Iterable[tuple[int, bytes]]) -> list[bytes]:
    """Bytes of each object; an entry goes where its number says."""
    objects = [b""] * WIDTH
    for number, data in entries:
        objects[number % WIDTH] += data
    return objects
