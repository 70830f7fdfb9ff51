"""The place that one process has at a time, as several hurry for it."""
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rados
from test_prefix import pool_of

from onedr.ceph.exclusive_lock import ExclusiveLock

if TYPE_CHECKING:
    from sandbox.bed import Bed


class Hurry:
    """RADOS at which another process takes the place as soon as it is free: after each call of the one that leaves."""

    def __init__(self, io: rados.Ioctx, other: ExclusiveLock):
        self.io, self.other = io, other

    def __getattr__(self, name: str) -> Any:
        def then(*arguments: Any) -> Any:
            answer = getattr(self.io, name)(*arguments)
            self.other.acquire()
            return answer

        return then


def test_one_at_a_time_and_nothing_stays(ceph_bed: Bed) -> None:
    with pool_of(ceph_bed, "site-a") as pool, pool_of(ceph_bed, "site-a") as elsewhere:
        one, two = ExclusiveLock(pool, "onedr.place"), ExclusiveLock(elsewhere, "onedr.place")
        assert one.acquire() and one.acquire() and not two.acquire()
        two.release()
        assert not two.acquire(), "who has it not cannot give it back"
        one.release()
        assert two.acquire() and not one.acquire()
        two.release()
        assert "onedr.place" not in {entry.key for entry in pool.io.list_objects()}


def test_who_takes_it_while_it_is_given_back_keeps_it(ceph_bed: Bed) -> None:
    with pool_of(ceph_bed, "site-a") as pool, pool_of(ceph_bed, "site-a") as second, pool_of(ceph_bed, "site-a") as third:
        one, two, late = (ExclusiveLock(where, "onedr.place") for where in (pool, second, third))
        assert one.acquire()
        one._io = Hurry(pool.io, two)
        one.release()
        assert not late.acquire(), "two has it"
        two.release()
        assert late.acquire()
        late.release()
