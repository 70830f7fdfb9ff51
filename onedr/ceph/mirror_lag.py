"""How far copies are behind, and how much journal waits for them: of a whole pool at once."""
from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.lag import Lag, read_lag

_U64 = struct.Struct("<Q")
_LARGEST_ORDER = 40  # of a journal's objects; Ceph allows 12 to 26


def lags(pool: Pool) -> dict[str, Lag]:
    """By image name what the rbd-mirror that copies it reports: the peer's of a primary, ours of a copy.

    Raises rbd.Error.
    """
    found = {}
    for status in pool.rbd.mirror_image_status_list(pool.io):
        reports = [status, *status.get("remote_statuses", [])]
        said = [read_lag(str(each.get("description", ""))) for each in reports if each.get("up")]
        lag = next((each for each in said if each is not None), None)
        if lag is not None:
            found[str(status["name"])] = lag
    return found


def journal_bytes(pool: Pool, ids: Iterable[str]) -> dict[str, int]:
    """By image id, the most bytes that its journal keeps: what is not replayed and not trimmed yet.

    Images without a journal are left out. Ceph: src/cls/journal/cls_journal.cc (keys of `journal.<id>`).
    """
    objects = {f"journal.{image_id}": image_id for image_id in ids}
    found = {}
    for name, values in omap.read_many(pool, objects).items():
        length = journal_length(values)
        if length is not None:
            found[objects[name]] = length
    return found


def journal_length(values: Mapping[str, bytes]) -> int | None:
    """Bytes of the object sets from the oldest to the active one. None: the omap says it in no known form."""
    order, width = values.get("order", b""), values.get("splay_width", b"")
    oldest, active = values.get("minimum_set", b""), values.get("active_set", b"")
    if (len(order), len(width), len(oldest), len(active)) != (1, 1, 8, 8) or order[0] > _LARGEST_ORDER:
        return None
    sets = _U64.unpack(active)[0] - _U64.unpack(oldest)[0] + 1
    return int(sets * width[0] << order[0]) if sets > 0 else None
