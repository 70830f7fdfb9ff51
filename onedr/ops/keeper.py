"""The keeper: follows first copies, sets time marks, shows the state in the datastore's attributes.

One short-lived process per datastore, woken by drivers, hooks and the datastore's monitor action; it ends by itself
after LIFE_S, when its front-end stops answering, or at once when another one is at work. `python -m onedr.ops.keeper ID`.
"""
from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress

import rados
import rbd

from onedr import template
from onedr.errors import OneDRError
from onedr.facts import Mark
from onedr.model import Peer, Role, Settings
from onedr.ops import boot, elsewhere, flatten, parallel, protected, reconcile, status, wake
from onedr.ops.elsewhere import HandedOver
from onedr.ops.protect import note
from onedr.ops.protected import Datastore
from onedr.ops.reconcile import Report
from onedr.ports import ceph, configuration, mirror, records
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd, attributes

LIFE_S = 330  # a little more than oned's default monitor interval, which wakes it again
LONGEST_S = 4 * 3600  # while disks are being flattened; what is cut short begins again where it ended
BEAT_S = 5.0  # between time marks of disks in use: what a recovery point may be too old by
EAGER_S = 1.0  # between looks while first copies are outstanding, and at the least: hooks come in storms
SURVEY_S = 30.0  # between full turns
_MARK_LIMIT_S = 10


class Keeper:
    """Keeps one datastore. `survey` and `beat` are single turns; `keep` does both until the end of its life."""

    def __init__(self, pool: Pool, datastore_id: int, frontend: FrontEnd):
        self._pool, self._id, self._frontend = pool, datastore_id, frontend
        self._complete: set[str] = set()  # copies seen replaying: their marks may be trusted
        self._in_use: set[str] = set()
        self._mirrored: set[str] = set()
        self._report = Report()
        self._peer_answers = False
        self._point_shown = -SURVEY_S
        self._datastore: Datastore | None = None
        self._flattener = flatten.Flattener(pool, Settings())
        at_once = configuration.limits().flatten_at_once
        self._queue = flatten.Queue(self._flattener, flatten.place(pool, datastore_id), at_once)
        self._flattened = 0  # how many of the queue's ends were seen

    def keep(self, life_s: float) -> None:
        """Work until the life is over or this site stopped being the primary. Raises OneDRError when its world is gone."""
        try:
            self._keep(life_s)
        finally:
            self._queue.stop()  # a lock left behind would hold a VM up for 30 s

    def _keep(self, life_s: float) -> None:
        begun = time.monotonic()
        next_survey, pause_s = 0.0, EAGER_S
        while time.monotonic() < begun + (LONGEST_S if self._queue.busy else life_s):
            through = self._moved_on()
            news = wake.has_news(self._id) or through
            if news or time.monotonic() >= next_survey:
                pause_s = EAGER_S if news else pause_s
                role = self.survey()
                if role is not Role.PRIMARY:
                    return
                pause_s = self._pause(pause_s)
                next_survey = time.monotonic() + pause_s
            self.beat(self._in_use & self._complete)
            self._wait(EAGER_S if self._report.awaiting or self._queue.busy else min(pause_s, BEAT_S))

    def _moved_on(self) -> bool:
        """Go on with clones: mirror those whose base has arrived, flatten. Returns whether any is through."""
        self._queue.step()
        flatten.heed_removals(self._pool, self._queue)
        for name, text in self._queue.running().items():
            with suppress(rbd.ImageNotFound):
                note(self._pool, name, text)
        before, self._flattened = self._flattened, self._queue.finished
        admitted = self._datastore is not None and reconcile.admit(self._pool, self._datastore, self._report)
        return admitted or self._flattened > before

    def _pause(self, last_s: float) -> float:
        """Until the next survey: short while first copies are expected soon, longer and longer when they take their time."""
        if not self._mirrored - self._complete or not self._peer_answers:
            return SURVEY_S
        return min(last_s * 1.3, SURVEY_S)

    def _wait(self, seconds: float) -> None:
        begun = time.monotonic()
        time.sleep(EAGER_S)
        while time.monotonic() < begun + seconds and not wake.has_news(self._id, peek=True):
            time.sleep(0.2)

    def survey(self) -> Role:
        """Reconcile, look at the copies, mark what completed, show the state. Returns this site's role."""
        self._datastore = datastore = protected.from_element(self._frontend.datastore(self._id))
        self._flattener.settings = datastore.settings
        self._report = report = reconcile.turn(self._pool, datastore, self._frontend, queue=self._queue)
        self._in_use, self._mirrored = report.in_use, report.mirrored
        seen = status.view(self._pool, datastore, self._frontend)
        self._peer_answers = seen.copies.sight.peer is Peer.ANSWERS
        complete = {name for name, copy in seen.copies.by_name.items() if copy.complete and not copy.primary}
        if not self._peer_answers:  # marks go on: they tell later what only this site's disks hold
            complete |= self._complete
        fresh = (complete & self._mirrored) - self._complete
        self._complete = complete & self._mirrored
        self.beat(fresh | (self._complete - self._in_use))
        parallel.each(sorted(fresh), self._publish, _MARK_LIMIT_S, 16)
        self._show(datastore, seen)
        return seen.verdict.role

    def beat(self, names: Iterable[str]) -> None:
        """Set the time mark on images whose copies replay."""
        parallel.each(sorted(names), self._mark, _MARK_LIMIT_S, 16)

    def _mark(self, name: str) -> None:
        with self._pool.image(name) as image:
            if mirror.is_primary(image):
                records.write_mark(image, Mark(time.time(), True))

    def _publish(self, name: str) -> None:
        """The first mark of a copy travels at once, also in snapshot mode."""
        with self._pool.image(name) as image:
            if mirror.is_primary(image):
                mirror.publish(self._pool, image)

    def _show(self, datastore: Datastore, seen: status.View) -> None:
        points = [status.point_of(fact, seen) for fact in seen.facts if fact.mode is not None]
        known = [point for point in points if point is not None]
        current = status.attributes_of(seen)
        if known and len(known) == len(points):
            current["DR_RECOVERY_POINT"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(known)))
        there = attributes(self._frontend.datastore(datastore.datastore_id))
        changed = {key: value for key, value in current.items() if template.get(there, key) != value}
        if set(changed) - {"DR_RECOVERY_POINT"} or self._point_is_old(changed):
            self._frontend.update_datastore(datastore.datastore_id, tuple(changed.items()))

    def _point_is_old(self, changed: dict[str, str]) -> bool:
        """A new recovery point alone is written every SURVEY_S: each update makes oned run hooks."""
        now = time.monotonic()
        if "DR_RECOVERY_POINT" not in changed or now - self._point_shown < SURVEY_S:
            return False
        self._point_shown = now
        return True


def keep(words: list[str]) -> str:
    """Keep the datastore of this id for LIFE_S, here or on a bridge host."""
    datastore_id = int(words[0])
    frontend = FrontEnd(limit_s=15)
    element = frontend.datastore(datastore_id)
    if element.findtext("DS_MAD") != protected.DRIVER:
        return ""  # woken before its protection was ended: nothing of ours may be written there any more
    elsewhere.unless_here(attributes(element))
    with ceph.connect(protected.from_element(element).access, operation_limit_s=15) as pool:
        Keeper(pool, datastore_id, frontend).keep(LIFE_S)
    return ""


def main(datastore_id: int) -> None:
    """Keep a datastore unless somebody does. Ends quietly, with a line in its log, when the front-end or Ceph is gone."""
    again = True
    while again:
        with wake.only_one(datastore_id) as first:
            if not first:
                return
            wake.has_news(datastore_id)  # what was told until now is what this turn looks at
            again = _turn(datastore_id)
        again = again and wake.has_news(datastore_id, peek=True)  # who came while it ended found the place taken
    os._exit(0)  # a call that Ceph never answered may have left a thread behind


def _turn(datastore_id: int) -> bool:
    """Keep the datastore, here or on a bridge host. False when its world is gone: then the next monitor begins anew."""
    elsewhere.asked("onedr.ops.keeper:keep", [str(datastore_id)])
    try:
        boot.remember(FrontEnd(limit_s=15))
        keep([str(datastore_id)])
    except HandedOver:
        pass
    except (OneDRError, rados.Error, rbd.Error) as error:
        print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} keeper of datastore {datastore_id} ends: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]))
