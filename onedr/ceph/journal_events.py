"""What was appended to an image's journal, decoded without librbd.

Ceph: src/journal/Entry.cc, src/librbd/journal/Types.h and Types.cc. The forms that are known are in
docs/ceph-facts.md C58; tests/bed/test_image_scan.py compares them with what librbd writes. Pure.
"""
from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from onedr.ceph.encoding import Decoder, UnknownFormatError

_HEAD = struct.Struct("<QBQQI")  # preamble, version, number, tag, length of the data
_PREAMBLE, _VERSION = 0x3141592653589793, 1
_CHECKSUM = 4  # bytes after the data
_FLUSH, _FINISH, _SET_METADATA = 2, 3, 16  # kinds of events; the first two change nothing of an image


@dataclass(frozen=True, order=True)
class Event:
    """One entry: its place in the journal (`tag`, `number`), its kind, and which metadata it sets."""

    tag: int
    number: int
    kind: int
    key: str = ""
    value: str = ""


def ends_with(tails: Iterable[bytes], key: str, value: str) -> bool:
    """Is the setting of metadata `key` to `value` the last change of the image?

    `tails`: what was appended to each object of the journal, beginning with an entry. False where it does not
    show: with entries of an unknown form, and while an entry after it is missing.
    """
    try:
        events = sorted(event for tail in tails for event in _events(tail))
    except UnknownFormatError:
        return False
    places = [at for at, event in enumerate(events) if (event.key, event.value) == (key, value)]
    if not places:
        return False
    mark, *later = events[places[-1]:]
    return all(
        event.kind in (_FLUSH, _FINISH) and (event.tag, event.number) == (mark.tag, mark.number + place)
        for place, event in enumerate(later, 1)
    )


def _events(tail: bytes) -> Iterator[Event]:
    at = 0
    while at < len(tail):
        if len(tail) - at < _HEAD.size:
            raise UnknownFormatError("an entry of a journal is cut off")
        preamble, version, number, tag, length = _HEAD.unpack_from(tail, at)
        begin = at + _HEAD.size
        at = begin + length + _CHECKSUM
        if preamble != _PREAMBLE or version != _VERSION or at > len(tail):
            raise UnknownFormatError("an entry of a journal has an unknown form")
        yield _event(tag, number, tail[begin:begin + length])


def _event(tag: int, number: int, data: bytes) -> Event:
    fields = Decoder(data).struct(1, 1)
    kind = fields.u32()
    if kind != _SET_METADATA:
        return Event(tag, number, kind)
    fields.u64()  # the operation's number
    return Event(tag, number, kind, fields.text(), fields.text())
