"""The header of an image's journal: omap values of `journal.<image's id>`.

Ceph: src/cls/journal/cls_journal.cc.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onedr.ceph.encoding import Decoder, UnknownFormatError

KEYS = ("active_set", "splay_width", "order")
_LARGEST_ORDER = 40  # of a journal's objects; Ceph allows 12 to 26


@dataclass(frozen=True)
class JournalHeader:
    """`active`: number of the newest set of objects; `width`: objects in each set; `object_bytes`: of a full
    object.
    """

    active: int
    width: int
    object_bytes: int


def decode(values: Mapping[str, bytes]) -> JournalHeader:
    """From the values of KEYS. Raises UnknownFormatError where they are of no known form, or missing."""
    if set(KEYS) - values.keys():
        raise UnknownFormatError("there is no journal")
    active, width, order = values["active_set"], values["splay_width"], Decoder(values["order"]).u8()
    if order > _LARGEST_ORDER:
        raise UnknownFormatError(f"the journal has objects of order {order}")
    return JournalHeader(Decoder(active).u64(), Decoder(width).u8(), 1 << order)
