"""The report of each night (DR_REPORT): the keeper starts it where oned runs its monitor action, which is
the leader of an HA set.

Omap of object `onedr.reports`: `tried.<id>`, `made.<id>` of a datastore, epoch seconds.
"""
from __future__ import annotations

import time
from contextlib import suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host import front_end_process, log
from onedr.model.errors import OneDRError
from onedr.opennebula.datastores import Datastore
from onedr.protection import rehearsal_rules

OBJECT = "onedr.reports"
_AFTER_S = 3 * 3600  # after rehearsals began, so that they are in it
_RETRY_S = 3600


def look(pool: Pool, datastore: Datastore) -> None:
    """Start a report of this datastore when one is due. A failure to start is a warning, and tried again."""
    if not (datastore.settings.protect and datastore.settings.report):
        return
    number, now = datastore.datastore_id, time.time()
    try:
        tried, made = _noted(pool, f"tried.{number}"), _noted(pool, f"made.{number}")
        if is_due(tried, made, now, time.localtime(now).tm_gmtoff):
            _note(pool, f"tried.{number}", now)
            start(number)
    except (OSError, OneDRError, rados.Error) as error:
        log.warning(f"the report did not start: {error}")


def is_due(tried: float, made: float, now: float, offset_s: int) -> bool:
    """One a night from 05:00 local time, the first at once; again an hour after one that did not come.

    Epoch seconds, 0 for never; what is dated ahead does not count. `offset_s`: of local time from UTC.
    """
    night = rehearsal_rules.night_began(now - _AFTER_S, offset_s) + _AFTER_S
    return not night <= made <= now and not now - _RETRY_S < tried <= now


def note_made(pool: Pool, datastore_id: int, now: float) -> None:
    """A report was made for this front-end. Raises rados.Error."""
    _note(pool, f"made.{datastore_id}", now)


def start(datastore_id: int) -> None:
    """Start it as a detached process of the front-end. Raises OSError."""
    front_end_process.start("report", "onedr.cli.report_process", datastore_id)


def forget(pool: Pool, datastore_id: int) -> None:
    """Drop what is noted of a datastore. Raises rados.Error."""
    for key in ("tried", "made"):
        with suppress(rados.ObjectNotFound):
            omap.drop_keys(pool, OBJECT, f"{key}.{datastore_id}")


def _noted(pool: Pool, key: str) -> float:
    try:
        return float(omap.read_keys(pool, OBJECT, (key,)).get(key, b"0"))
    except ValueError:
        return 0.0


def _note(pool: Pool, key: str, now: float) -> None:
    omap.write_keys(pool, OBJECT, {key: f"{int(now * 1000) / 1000:.3f}".encode()})  # never ahead of `now`
