"""Put right what an update of a whole template did to a datastore, and take its action off, once.

One process at a time does it for a datastore, whichever machine it works on (settle_rules decides).
"""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from lxml import etree

from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.host import log
from onedr.host.waiting import wait_until
from onedr.model import settings as model_settings
from onedr.model.errors import FrontEndError, InputError, StorageError
from onedr.model.template import Pairs
from onedr.opennebula.api import FrontEnd, attributes
from onedr.protection import pool_settings
from onedr.protection.settle_rules import Known, Shown, Verdict, judge
from onedr.runs import datastore_message

_LOCK_LIMIT_S = 30
_PAUSE_S = 0.2
_ROUNDS = 5


def take_request(pool: Pool, datastore_id: int, frontend: FrontEnd) -> Pairs:
    """Put a datastore right. Returns the request that was taken off and may start now; empty for none.

    Reads back. Raises rados.Error, StorageError, and FrontEndError: then nothing may start.
    """
    return _settle(pool, datastore_id, frontend, True)


def put_right(pool: Pool, datastore_id: int, frontend: FrontEnd) -> None:
    """The same, but an action that is asked for is left to the hook, which starts it."""
    _settle(pool, datastore_id, frontend, False)


def _settle(pool: Pool, datastore_id: int, frontend: FrontEnd, may_start: bool) -> Pairs:
    known, verdict = _judged(pool, datastore_id, frontend, False)
    if _is_settled(known, verdict):
        return ()
    taken: Pairs = ()
    with _alone(pool, datastore_id):
        for round_ in range(_ROUNDS):
            known, verdict = _judged(pool, datastore_id, frontend, round_ > 0)
            taken = taken or verdict.taken
            if _is_settled(known, verdict) or (verdict.taken and not may_start):
                return taken if may_start else ()
            if verdict.known is not None and verdict.known != known:
                pool_settings.write_known(pool, datastore_id, _noticed(known, verdict.known))
            if verdict.refused:
                datastore_message.refuse(pool, datastore_id, verdict.refused, time.time())
            if verdict.changes:  # after the pool: whoever dies in between leaves an old counter behind
                frontend.update_datastore(datastore_id, verdict.changes)
                log.info(f"put right: {', '.join(key for key, _ in verdict.changes)}")
    raise FrontEndError(
        f"The attributes of datastore {datastore_id} do not stay as they are set, so nothing was started. "
        f"Look at onedatastore show {datastore_id}."
    )


def _is_settled(known: Known | None, verdict: Verdict) -> bool:
    return not verdict.changes and verdict.known in (None, known)


def _judged(
    pool: Pool, datastore_id: int, frontend: FrontEnd, distrust: bool
) -> tuple[Known | None, Verdict]:
    known = pool_settings.read_known(pool, datastore_id)
    shown = _shown(frontend.datastore(datastore_id))
    # no two lives of a datastore count through the same numbers
    return known, judge(known, shown, int(time.time()), distrust)


def _shown(element: etree._Element) -> Shown:
    name, pairs = element.findtext("NAME") or "", attributes(element)
    valid = True
    try:
        model_settings.read_settings(pairs, name)
    except InputError:
        valid = False
    return Shown(name, element.findtext("DS_MAD") or "", element.findtext("TM_MAD") or "", pairs, valid)


def _noticed(before: Known | None, after: Known) -> Known:
    same = before is not None and before.notice == after.notice
    return after if same else replace(after, noticed=time.time())


@contextmanager
def _alone(pool: Pool, datastore_id: int) -> Iterator[None]:
    lock = ExclusiveLock(pool, f"onedr.attributes.{datastore_id}")
    if not wait_until(lock.acquire, _LOCK_LIMIT_S, _PAUSE_S):
        raise StorageError(
            f"Another process has been putting the attributes of datastore {datastore_id} right for "
            f"{_LOCK_LIMIT_S} s; try again."
        )
    try:
        yield
    finally:
        lock.release()


def begin(pool: Pool, datastore_id: int) -> None:
    """Protection begins: what was known before is not put back. Raises rados.Error, StorageError."""
    with _alone(pool, datastore_id):
        known = pool_settings.read_known(pool, datastore_id)
        if known is None or known.ended:
            seq = int(time.time()) if known is None else known.seq + 1
            pool_settings.write_known(pool, datastore_id, Known(seq=seq))


def end(pool: Pool, datastore_id: int) -> None:
    """Protection ends: nothing is put back any more. Raises rados.Error, StorageError."""
    with _alone(pool, datastore_id):
        known = pool_settings.read_known(pool, datastore_id) or Known(seq=int(time.time()))
        pool_settings.write_known(pool, datastore_id, replace(known, ended=True, notice=""))
