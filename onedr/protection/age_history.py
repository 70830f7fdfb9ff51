"""How old a datastore's recovery points were over the last days, for the report: omap of object `onedr.ages`.

A ring: the worst of each ten minutes, kept for eight days, so it never grows beyond some 100 KiB.
"""
from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model.json_form import parsed
from onedr.model.seen import AgeSeen
from onedr.opennebula.datastores import Datastore
from onedr.protection import status
from onedr.protection.status import StatusView

OBJECT = "onedr.ages"
SLOT_S = 600
SLOTS = 8 * 86400 // SLOT_S
_AHEAD_S = 60  # of another front-end's clock


def look(pool: Pool, datastore: Datastore, seen: StatusView, now: float) -> None:
    """Note what a pass saw. A failure is a warning: the report has a gap there."""
    points = [status.point_of(fact, seen) for fact in seen.facts if fact.mode is not None]
    if not points:
        return
    known = [point for point in points if point is not None]
    age = max(0.0, round(now - min(known), 1)) if len(known) == len(points) else None
    safe = sum(1 for item in seen.items if item.copied and item.mirrored and not item.problem)
    try:
        note(
            pool, datastore.datastore_id,
            AgeSeen(round(now, 1), age, datastore.settings.rpo_s, safe, len(seen.items)),
        )
    except rados.Error as error:
        log.warning(f"the age of the recovery points was not noted: {error}")


def note(pool: Pool, datastore_id: int, seen: AgeSeen) -> None:
    """Keep it, if it is the worst of its ten minutes. Raises rados.Error."""
    slot = int(seen.at // SLOT_S)
    key = f"{datastore_id}.{slot % SLOTS:04d}"
    before = _read(omap.read_keys(pool, OBJECT, (key,)).get(key, b""))
    if before is None or int(before.at // SLOT_S) != slot or _badness(seen) > _badness(before):
        omap.write_keys(pool, OBJECT, {key: json.dumps(asdict(seen)).encode()})


def _badness(seen: AgeSeen) -> tuple[float, int]:
    return math.inf if seen.age_s is None else seen.age_s, seen.total - seen.protected


def history(pool: Pool, datastore_id: int, now: float) -> tuple[AgeSeen, ...]:
    """What was noted within the last days, oldest first. What cannot be read is left out.

    Raises rados.Error.
    """
    values = omap.read_all(pool, OBJECT, f"{datastore_id}.").values()
    found = [seen for seen in map(_read, values) if seen is not None]
    kept = [seen for seen in found if now - SLOTS * SLOT_S <= seen.at <= now + _AHEAD_S]
    return tuple(sorted(kept, key=lambda seen: seen.at))


def forget(pool: Pool, datastore_id: int) -> None:
    """Drop what is noted of a datastore. Raises rados.Error."""
    keys = omap.list_keys(pool, OBJECT, f"{datastore_id}.")
    if keys:
        with suppress(rados.ObjectNotFound):
            omap.drop_keys(pool, OBJECT, *keys)


def _read(value: bytes) -> AgeSeen | None:
    try:
        data = parsed(value)
        age = data["age_s"]
        found = AgeSeen(
            float(data["at"]), None if age is None else float(age), int(data["objective_s"]),
            int(data["protected"]), int(data["total"]),
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    numbers = (found.at, found.age_s or 0.0)
    return found if all(math.isfinite(number) and number >= 0 for number in numbers) else None
