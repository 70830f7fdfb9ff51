"""What passes of reconcile cost and repaired, kept in the pool for metrics: omap of object `onedr.passes`."""
from __future__ import annotations

import json
from contextlib import suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.json_form import parsed
from onedr.model.seen import PassSeen

OBJECT = "onedr.passes"


def last_pass(pool: Pool, datastore_id: int) -> PassSeen | None:
    """The newest pass; None when there was none, or what is noted cannot be read. Raises rados.Error."""
    key = str(datastore_id)
    try:
        found = parsed(omap.read_keys(pool, OBJECT, (key,))[key])
        return PassSeen(
            float(found["at"]), float(found["seconds"]), int(found["failed"]), int(found["repairs"])
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def forget(pool: Pool, datastore_id: int) -> None:
    """Remove what is noted of a datastore. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        omap.drop_keys(pool, OBJECT, str(datastore_id))


def note_pass(pool: Pool, datastore_id: int, now: float, seconds: float, failed: int, repairs: int) -> None:
    """Note a pass that ended `now` (epoch seconds) and repaired so many items. Raises rados.Error."""
    before = last_pass(pool, datastore_id)
    noted = {
        "at": round(now, 3), "seconds": round(seconds, 3), "failed": failed,
        "repairs": repairs + (before.repairs if before is not None else 0),
    }
    omap.write_keys(pool, OBJECT, {str(datastore_id): json.dumps(noted).encode()})
