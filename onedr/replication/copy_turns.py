"""First copies take turns where the datastore has a DR_COPY_WINDOW: omap of object `onedr.copying`, a key for
each image whose first copy was begun and not seen complete yet.

Drivers and the keeper of a site begin copies; two that begin one in the same moment may be one too many.
"""
from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress

import rados

from onedr.ceph import mirroring, omap
from onedr.ceph.connection import Pool
from onedr.model.types import Settings
from onedr.replication import copy_rules

OBJECT = "onedr.copying"


def minute_now() -> int:
    """Of the local day."""
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


def take(pool: Pool, name: str, settings: Settings) -> str:
    """Note that the first copy of an image begins. Returns why it must wait; empty when it may begin.

    Raises rados.Error.
    """
    if settings.copy_window is None:
        return ""
    limit = copy_rules.at_once(settings, minute_now())
    if limit is not None and len({*omap.list_keys(pool, OBJECT, "")} - {name}) >= limit:
        return copy_rules.reason(settings)
    omap.write_keys(pool, OBJECT, {name: f"{time.time():.3f}".encode()})
    return ""


def settle(pool: Pool, settings: Settings, complete: Collection[str], since: float) -> None:
    """Give back the turns of images whose copy is complete, and of those that are not mirrored any more.
    `since` (epoch seconds): when it was looked; turns taken later stay. Raises rados.Error, rbd.Error.
    """
    noted = omap.read_all(pool, OBJECT) if settings.copy_window is not None else {}
    if not noted:
        return
    mirrored = mirroring.roles(pool).keys()
    for name, value in noted.items():
        if name in complete or (name not in mirrored and _moment(value) < since):
            with suppress(rados.ObjectNotFound):
                omap.drop_keys(pool, OBJECT, name)


def forget(pool: Pool) -> None:
    """Take what was noted away; gone is done."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(OBJECT)


def _moment(value: bytes) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0
