"""A place that one process of all front-ends and hosts has at a time: a lock in RADOS that runs out unless
it is kept.
"""
from __future__ import annotations

import os
import time
from contextlib import suppress

import rados

from onedr.ceph.connection import Pool

_LASTS_S = 60
_RENEW_EVERY_S = 10
_MARGIN_S = 20  # for the clocks, and for a removal that takes its time
_NAME = "onedr"
_MAY_RENEW = 1  # LIBRADOS_LOCK_FLAG_RENEW


class ExclusiveLock:
    """One place, named by the RADOS object that carries the lock. Not for use by several threads at once."""

    def __init__(self, pool: Pool, what: str):
        self._io, self._what, self._cookie = pool.io, what, os.urandom(16).hex()
        self._renewed_at = 0.0  # when it was last taken or kept; 0: we have it not

    def acquire(self) -> bool:
        """Take the place, or keep it. False when another process has it. Raises rados.Error."""
        if self._renewed_at and time.monotonic() - self._renewed_at < _RENEW_EVERY_S:
            return True
        try:
            self._io.lock_exclusive(self._what, _NAME, self._cookie, "OneDR", _LASTS_S, _MAY_RENEW)
        except (rados.ObjectBusy, rados.ObjectExists):
            self._renewed_at = 0.0
            return False
        self._renewed_at = time.monotonic()
        return True

    def release(self) -> None:
        """Give it back, if it is ours; nothing stays in the pool."""
        ours = self._renewed_at and time.monotonic() - self._renewed_at < _LASTS_S - _MARGIN_S
        self._renewed_at = 0.0
        if ours:  # else it is about to run out, or another process has it already
            with suppress(rados.ObjectNotFound):
                # The lock goes with its object, in one step: who took it between an unlock and this would
                # lose it.
                self._io.remove_object(self._what)
