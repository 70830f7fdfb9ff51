"""A lock that one process among all front-ends and hosts holds:
a RADOS lock that expires unless it is renewed.
"""
from __future__ import annotations

import os
import time
from contextlib import suppress

import rados

from onedr.ceph.connection import Pool

_LASTS_S = 60
_RENEW_EVERY_S = 10
_MARGIN_S = 20  # for clock differences, and for a removal that takes long
_NAME = "onedr"
_MAY_RENEW = 1  # LIBRADOS_LOCK_FLAG_RENEW


class ExclusiveLock:
    """One lock, named by the RADOS object that carries it. Not thread-safe."""

    def __init__(self, pool: Pool, what: str):
        self._io, self._what, self._cookie = pool.io, what, os.urandom(16).hex()
        self._renewed_at = 0.0  # when it was last acquired or renewed; 0: not held

    def acquire(self) -> bool:
        """Acquire or renew the lock. False when another process holds it. Raises rados.Error."""
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
        """Release the lock, if it is held. Nothing is left in the pool."""
        ours = self._renewed_at and time.monotonic() - self._renewed_at < _LASTS_S - _MARGIN_S
        self._renewed_at = 0.0
        if ours:  # else it is about to expire, or another process may hold it
            with suppress(rados.ObjectNotFound):
                # Lock and object are removed in one step:
                # a process that acquired it between two steps would lose it.
                self._io.remove_object(self._what)
