"""What each pool knows of the datastores that are protected in it: their settings, the counter of actions.

Omap of the object `onedr.datastores`: the datastore's id at this site -> JSON of a Known. Attributes can be
lost by an update of the whole template; this is what they are put back from.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.errors import StorageError
from onedr.model.json_form import parsed
from onedr.protection.settle_rules import Known

OBJECT = "onedr.datastores"
_NOTICE_S = 3600  # how long DR_MESSAGE repeats what was put right


def read_known(pool: Pool, datastore_id: int) -> Known | None:
    """The entry of a datastore; None when there is none. Raises rados.Error, StorageError when damaged."""
    key = str(datastore_id)
    text = omap.read_keys(pool, OBJECT, (key,)).get(key)
    return None if text is None else _decoded(key, text)


def _decoded(key: str, text: bytes) -> Known:
    try:
        found = parsed(text)
        return Known(
            str(found["name"]), {str(name): str(value) for name, value in found["settings"].items()},
            int(found["seq"]), tuple(map(str, found["requests"])), found["ended"] is True,
            str(found["notice"]), float(found["noticed"]),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise StorageError(
            f"What {OBJECT} says of datastore {key} is damaged ({error!r}). Remove it with rados rmomapkey "
            f"{OBJECT} {key}, then run onedr enable."
        ) from error


def write_known(pool: Pool, datastore_id: int, known: Known) -> None:
    """Set the entry of a datastore. Raises rados.Error."""
    omap.write_keys(pool, OBJECT, {str(datastore_id): json.dumps(asdict(known)).encode()})


def forget_known(pool: Pool, datastore_id: int) -> None:
    """Remove the entry of a datastore, and the object with the last one. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        if set(omap.list_keys(pool, OBJECT, "")) <= {str(datastore_id)}:
            pool.io.remove_object(OBJECT)
        else:
            omap.drop_keys(pool, OBJECT, str(datastore_id))


def is_protected(pool: Pool, datastore_id: int) -> bool:
    """Does the pool know the datastore as protected? Raises as read_known."""
    known = read_known(pool, datastore_id)
    return known is not None and known.protected


def notice(pool: Pool, datastore_id: int, now: float) -> str:
    """What was put right within the last hour; empty for nothing. A damaged entry says so.

    Raises rados.Error.
    """
    try:
        known = read_known(pool, datastore_id)
    except StorageError as error:
        return str(error)
    return known.notice if known is not None and 0 <= now - known.noticed < _NOTICE_S else ""
