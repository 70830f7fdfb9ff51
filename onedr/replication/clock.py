"""May this site's clock be believed? Nothing is removed on the word of a clock that jumped.

Object `onedr.clock` of the pool has the time of the last turn. A turn is sure of the time when the clock went
on from a sure turn as the same machine's uptime did, or when the peer's last turn, by the peer's clock, was
lately.
"""
from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace

import rados
import rbd

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError
from onedr.model.json_form import parsed
from onedr.model.types import Settings
from onedr.replication import peer_ceph

_OBJECT, _KEY = "onedr.clock", "turn"
_SLACK_S = 60.0  # what NTP may put right between two turns
_LATELY_S = 900.0  # oned's monitor wakes a turn every few minutes


@dataclass(frozen=True)
class Turn:
    """When a turn was: `at` epoch seconds,
    `up` seconds that the machine's boot `boot` had been up; was it sure?
    """

    at: float
    boot: str
    up: float
    sure: bool = False


def judge_clock(before: Turn | None, now: Turn, peer_at: float | None) -> bool:
    """May `now.at` be believed? `peer_at`: the peer's last turn, epoch seconds by its clock; None: not known.
    """
    if peer_at is not None and abs(now.at - peer_at) <= _LATELY_S:
        return True
    if before is None or not before.sure or before.boot != now.boot:
        return False
    return abs((now.at - before.at) - (now.up - before.up)) <= _SLACK_S


def note_turn(pool: Pool, settings: Settings, now: float) -> bool:
    """Note this turn in the pool, `now` in epoch seconds. Returns whether the clock may be believed."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        turn = Turn(now, file.read().strip(), time.clock_gettime(time.CLOCK_BOOTTIME))
    before = _last(pool)
    sure = judge_clock(before, turn, None) or judge_clock(before, turn, _peer_at(pool, settings))
    omap.write_keys(pool, _OBJECT, {_KEY: json.dumps(asdict(replace(turn, sure=sure))).encode()})
    return sure


def _last(pool: Pool) -> Turn | None:
    """The last turn; None when there was none, or what is noted of it cannot be read."""
    try:
        found = parsed(omap.read_keys(pool, _OBJECT, (_KEY,))[_KEY])
        return Turn(float(found["at"]), str(found["boot"]), float(found["up"]), found["sure"] is True)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _peer_at(pool: Pool, settings: Settings) -> float | None:
    peer_status = peer_ceph.probe_peer(pool, settings)
    try:
        with peer_ceph.peer_pool(peer_status, pool.access.pool) as (there, _):
            last = None if there is None else _last(there)
    except (OneDRError, rados.Error, rbd.Error):
        return None
    return last.at if last is not None else None
