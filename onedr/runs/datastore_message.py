"""DR_MESSAGE of a datastore: the sentence of its state, and beside it for a while why an action was refused,
because whoever set DR_ACTION in Sunstone sees nothing else.

Several processes write it: runs, the keeper, reconcile, the hook. A refusal is kept in the pool first (omap
of the object `onedr.refusals`), and whoever writes reads the pool again afterwards: nothing stays overwritten
for longer than that takes.
"""
from __future__ import annotations

import calendar
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.errors import plain
from onedr.model.json_form import parsed
from onedr.model.template import Pairs
from onedr.opennebula.api import FrontEnd

OBJECT = "onedr.refusals"
SHOWN_S = 900
_SKEW_S = 60  # a moment ahead of our clock by more than this is no answer of ours
_FORM = re.compile(r"Refused at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)Z: (.*)", re.DOTALL)
_ROUNDS = 5


class _Refusal(NamedTuple):
    at: float  # epoch seconds
    reason: str


def refusal_message(reason: str, now: float) -> str:
    """DR_MESSAGE for a refusal; `now` in epoch seconds."""
    return f"Refused at {time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now))}Z: {reason}"


def refuse(pool: Pool, datastore_id: int, reason: str, now: float) -> str:
    """Keep a refusal for all who write DR_MESSAGE. Returns how it reads. Raises rados.Error."""
    _write(pool, datastore_id, _Refusal(now, plain(reason)))
    return refusal_message(plain(reason), now)


def refused(pool: Pool, datastore_id: int, now: float) -> str:
    """The refusal to show beside the state; empty when there was none in the last SHOWN_S seconds, or a run
    began since. Raises rados.Error.
    """
    found = _read(pool, datastore_id)
    return refusal_message(found.reason, found.at) if found and _is_recent(found.at, now) else ""


def run_began(pool: Pool, datastore_id: int, at: float) -> None:
    """Refusals of before `at` need not be shown any more. Raises rados.Error."""
    omap.write_keys(pool, OBJECT, {_since(datastore_id): json.dumps(at).encode()})


def adopt(pool: Pool, datastore_id: int, message: str, now: float) -> None:
    """Keep the refusal that a DR_MESSAGE holds alone: the hook wrote it while the pool did not answer."""
    alone = _parsed(message)
    if alone is None or not _is_recent(alone.at, now):
        return
    known = _read(pool, datastore_id)
    if known is None or alone.at > known.at + 1:  # a message has whole seconds
        _write(pool, datastore_id, alone)


def show(
    frontend: FrontEnd, datastore_id: int, attributes: Pairs, message: str, beside: Callable[[], str]
) -> None:
    """Write attributes and DR_MESSAGE: the state's sentence and what `beside` reads from the pool.

    What came into the pool meanwhile is written too. Raises FrontEndError, rados.Error.
    """
    said = beside()
    for _ in range(_ROUNDS):  # it changes this often only while others write it too
        frontend.update_datastore(datastore_id, (*attributes, ("DR_MESSAGE", joined(message, said))))
        before, said = said, beside()
        if said == before:
            return


def joined(*texts: str) -> str:
    """Sentences one after the other."""
    return " ".join(filter(None, texts))


def forget(pool: Pool, datastore_id: int) -> None:
    """Remove what is kept of a datastore, and the object with the last one. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        for key in (str(datastore_id), _since(datastore_id)):
            omap.drop_keys(pool, OBJECT, key)
        if not omap.list_keys(pool, OBJECT, ""):
            pool.io.remove_object(OBJECT)


def _since(datastore_id: int) -> str:
    return f"{datastore_id}.since"


def _write(pool: Pool, datastore_id: int, refusal: _Refusal) -> None:
    omap.write_keys(pool, OBJECT, {str(datastore_id): json.dumps(refusal).encode()})


def _read(pool: Pool, datastore_id: int) -> _Refusal | None:
    """The last refusal since the last run began. A damaged entry counts as none: the next one replaces it."""
    found = omap.read_keys(pool, OBJECT, (str(datastore_id), _since(datastore_id)))
    try:
        at, reason = parsed(found[str(datastore_id)])
        since = float(parsed(found.get(_since(datastore_id), b"0")))
        return _Refusal(float(at), plain(str(reason))) if float(at) >= since else None
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _parsed(message: str) -> _Refusal | None:
    found = _FORM.fullmatch(message)
    if found is None:
        return None
    try:
        return _Refusal(float(calendar.timegm(time.strptime(found[1], "%Y-%m-%d %H:%M:%S"))), found[2])
    except ValueError:
        return None


def _is_recent(at: float, now: float) -> bool:
    return -_SKEW_S <= now - at <= SHOWN_S
