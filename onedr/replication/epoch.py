"""Promotion epochs, the fencing tokens: every promotion by OneDR writes a number to the image, one higher
than the last one. It is replicated.

Key `onedr.term`, one line of JSON: {"term", "fsid", "site", "at", "point", "id"}. `id` is the image's
mirroring id: Ceph copies a parent's metadata to its clones, so an entry with another id does not apply.
"""
from __future__ import annotations

import json
import time
from collections.abc import Mapping

import rbd

from onedr.ceph import mirroring
from onedr.model.errors import RecordError
from onedr.model.json_form import parsed
from onedr.model.records import Epoch
from onedr.replication import record_fields

KEY = "onedr.term"
UNREADABLE = Epoch(-1, "", "", 0.0, None)


def read_epoch(image: rbd.Image, values: dict[str, str]) -> Epoch | None:
    """The image's epoch in its metadata `values`; None when it has none, UNREADABLE when it is damaged."""
    return epoch_in(values, mirroring.global_id(image)) if KEY in values else None


def epoch_in(values: Mapping[str, str], global_id: str) -> Epoch | None:
    """The same for an image of this mirroring id."""
    if KEY not in values:
        return None
    try:
        data = parsed(values[KEY])
        if data["id"] != global_id:
            return None
        return record_fields.epoch(data)
    except (KeyError, TypeError, ValueError, OverflowError):
        return UNREADABLE


def next_epoch(*before: Epoch | None) -> int:
    """The number of the next term: higher than that of either site.

    After an unreadable one it is the time, which is higher than any count.
    """
    known = [found.number for found in before if found is not None]
    return max([0, *known]) + 1 if min(known, default=0) >= 0 else max([int(time.time()), *known]) + 1


def epoch_of(image: rbd.Image) -> Epoch | None:
    """The epoch, read from the image."""
    return read_epoch(image, {str(key): str(value) for key, value in image.metadata_list()})


def write_epoch(image: rbd.Image, epoch: Epoch) -> None:
    """Write the epoch to a primary. Reads back. Raises RecordError."""
    text = json.dumps(
        {
            "term": epoch.number,
            "fsid": epoch.fsid,
            "site": epoch.site,
            "at": round(epoch.at, 3),
            "point": epoch.point,
            "id": mirroring.global_id(image),
        }
    )
    image.metadata_set(KEY, text)
    if image.metadata_get(KEY) != text:
        raise RecordError(
            f"the epoch of {image.get_name()} was written but reads back different; check the image with rbd "
            "image-meta list"
        )
