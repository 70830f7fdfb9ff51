"""How long changes of a VM's state waited until the hook had recorded them, for metrics: omap of the pool's
object `onedr.hooks`. Several hooks may write at once; the last one counts.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.json_form import parsed
from onedr.model.seen import HookSeen

OBJECT = "onedr.hooks"
WORST_S = 3600  # so long the worst one is remembered: scrapes see one of many


def last(pool: Pool, datastore_id: int) -> HookSeen | None:
    """The newest one; None when there was none, or what is noted cannot be read. Raises rados.Error."""
    key = str(datastore_id)
    try:
        found = parsed(omap.read_keys(pool, OBJECT, (key,))[key])
        values = (float(found[name]) for name in ("at", "waited_s", "worst_s", "worst_at"))
        return HookSeen(*values)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def note(pool: Pool, datastore_id: int, now: float, changed_at: float) -> None:
    """Note a change of `changed_at` that was recorded `now` (epoch seconds). Raises rados.Error."""
    seen = after(last(pool, datastore_id), now, max(0.0, now - changed_at))
    omap.write_keys(pool, OBJECT, {str(datastore_id): json.dumps(asdict(seen)).encode()})


def after(before: HookSeen | None, now: float, waited_s: float) -> HookSeen:
    """What is noted after one more. One that is worse than all of the last WORST_S takes their place."""
    now, waited_s = round(now, 3), round(waited_s, 3)
    remembered = before is not None and 0 <= now - before.worst_at < WORST_S
    if before is None or not remembered or waited_s >= before.worst_s:
        return HookSeen(now, waited_s, waited_s, now)
    return HookSeen(now, waited_s, before.worst_s, before.worst_at)


def forget(pool: Pool, datastore_id: int) -> None:
    """Remove what is noted of a datastore. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        omap.drop_keys(pool, OBJECT, str(datastore_id))
