"""Terms: every promotion by OneDR leaves a number on the image, one higher than the one before; mirroring
carries it on.

Key `onedr.term`, one line of JSON: {"term", "fsid", "site", "at", "point", "id"}. `id` is the image's
mirroring id: a clone gets its parent's metadata from Ceph, and what says another id is not about it.
"""
from __future__ import annotations

import json
import time

import rbd

from onedr.ceph import mirroring
from onedr.model.errors import RecordError
from onedr.model.records import Epoch

KEY = "onedr.term"
UNREADABLE = Epoch(-1, "", "", 0.0, None)


def read_epoch(image: rbd.Image, values: dict[str, str]) -> Epoch | None:
    """The image's own term in its metadata `values`; None when it has none, UNREADABLE when it is damaged."""
    if KEY not in values:
        return None
    try:
        data = json.loads(values[KEY])
        if data["id"] != mirroring.global_id(image):
            return None
        point = None if data["point"] is None else float(data["point"])
        return Epoch(
            max(int(data["term"]), -1), str(data["fsid"]), str(data["site"]), float(data["at"]), point
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return UNREADABLE


def next_epoch(*before: Epoch | None) -> int:
    """The number of the next term: higher than that of either site.

    After one that cannot be read: the time, higher than anything that was counted.
    """
    known = [found.number for found in before if found is not None]
    return max([0, *known]) + 1 if min(known, default=0) >= 0 else max([int(time.time()), *known]) + 1


def epoch_of(image: rbd.Image) -> Epoch | None:
    """The same, read from the image."""
    return read_epoch(image, {str(key): str(value) for key, value in image.metadata_list()})


def write_epoch(image: rbd.Image, term: Epoch) -> None:
    """Set it on a primary. Reads back. Raises RecordError."""
    text = json.dumps(
        {
            "term": term.number,
            "fsid": term.fsid,
            "site": term.site,
            "at": round(term.at, 3),
            "point": term.point,
            "id": mirroring.global_id(image),
        }
    )
    image.metadata_set(KEY, text)
    if image.metadata_get(KEY) != text:
        raise RecordError(f"the term of {image.get_name()} was written and does not read back")
