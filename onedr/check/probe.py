"""The probe: small images are mirrored to the peer and back, and compared. The result is stored at both
sites.

It is not read-only: it creates its own images, `onedr-probe-…`, in both pools. They are always removed; those
of a killed probe by the next one.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import rados
import rbd

from onedr.ceph import cluster_info, mirroring
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.check import probe_images, probe_results
from onedr.failover import promote as failover_promote
from onedr.host.waiting import attempts, wait_until
from onedr.model.errors import OneDRError, RefusedError, StorageError
from onedr.model.records import ProbeResult
from onedr.model.types import Mode, Settings
from onedr.replication import peer_ceph

Report = Callable[[str], None]
# with stock settings a copy starts up to 60 s after a role change (docs/ceph-facts.md C14)
_STEP_LIMIT_S = 150
_SWEEP_LIMIT_S = 180
_ORPHANED_S = 40  # a copy without a primary that rbd-mirror has not removed after this time is removed here
_STRIP_LIMIT_S = 60  # how long the removal of a base's snapshot may take to reach its copy
_LOCK_LIMIT_S = 75  # the lock of a killed probe expires after 60 s
_PAUSE_S = 0.3
_LOCK = "onedr.probe"
_ALL = "all images"


def _silent(_: str) -> None:
    return


def run_probe(
    pool: Pool, settings: Settings, mode: Mode | None = None, report: Report = _silent
) -> ProbeResult:
    """Probe mirroring between an open pool here and the peer's of the same name. For `onedr check --probe`
    and `onedr setup`.

    `settings`: how to reach the peer (DR_PEER_CEPH_CONF; `Settings()` uses Ceph's own peer entry, whose key
    our user must be allowed to read), and the mode unless `mode` is given. `report` is called with a sentence
    at the start of each stage. It takes 10 to 60 s with short timers, minutes with Ceph's stock ones; each
    wait has a limit. Both pools must mirror per image, with each other.

    Returns what was measured. A result with an empty `why` is complete, and is stored in both pools
    (check.probe_results); otherwise the probe ended early, nothing is stored, and None means unknown. All its
    images are removed at both sites. Raises RefusedError before anything is created: the peer cannot be read,
    a pool is not set up, another probe runs. Raises StorageError at the end when images remain (it names
    them; the next probe removes them).
    """
    status = peer_ceph.probe_peer(pool, settings)
    if status.refusal:
        raise RefusedError(
            f"Nothing is probed: the peer's Ceph must be reached from here ({status.refusal})."
        )
    with peer_ceph.open_peer(status, pool.access.pool, peer_ceph.PATIENT_S) as there:
        return probe_between(pool, there, mode or settings.mode, report)


def probe_between(here: Pool, there: Pool, mode: Mode, report: Report = _silent) -> ProbeResult:
    """The same on two open pools. `there` must be open with an operation limit of peer_ceph.PATIENT_S."""
    for pool, where in ((here, "here"), (there, "at the peer")):
        missing = mirroring.pool_ready(pool)
        if not missing and not mirroring.receives(pool):
            missing = f"pool {pool.access.pool} has no peer from which it receives; run onedr setup again"
        if missing:
            raise RefusedError(f"Nothing is probed: {where}, {missing}.")
    with _exclusive(here, there) as renew:
        remove_probe_images(here, there, renew)
        return _Probe(here, there, mode, report, renew).run()


@contextmanager
def _exclusive(here: Pool, there: Pool) -> Iterator[Callable[[], None]]:
    """One probe at a time between two pools, whichever site started it.

    Yields a function that renews the locks.
    """
    pools = sorted((here, there), key=lambda pool: pool.fsid())  # the same order at both sites
    locks = [ExclusiveLock(pool, _LOCK) for pool in pools]
    try:
        for lock in locks:
            if not wait_until(lock.acquire, _LOCK_LIMIT_S, _PAUSE_S):
                raise RefusedError("Nothing is probed: another probe of these pools runs.")

        def renew() -> None:
            if not all([lock.acquire() for lock in locks]):
                raise OneDRError("another probe has taken over")

        yield renew
    finally:
        for lock in locks:
            with suppress(rados.Error):
                # a lock that expired while the link was down is acquired again, so that nothing of it remains
                if lock.acquire():
                    lock.release()


class _Probe:
    def __init__(self, here: Pool, there: Pool, mode: Mode, report: Report, renew: Callable[[], None]):
        self.here, self.there, self.mode, self.report, self.renew = here, there, mode, report, renew
        self.began = time.time()
        releases = {*cluster_info.releases(here), *cluster_info.releases(there)}
        self.result = ProbeResult(mode, self.began, here.fsid(), there.fsid(), tuple(sorted(releases)))
        self.count = 0

    def run(self) -> ProbeResult:
        try:
            self._there()
            self._clone()
            self._back()
        except (OneDRError, rados.Error, rbd.Error) as error:
            self.result = replace(self.result, why=str(error))
        finally:
            self.report("removing the probe's images at both sites")
            left = remove_probe_images(self.here, self.there, self.renew)
        self.result = replace(self.result, seconds=round(time.time() - self.began, 1))
        if left:
            text = "; ".join(f"{name}: {why}" for name, why in left.items())
            how = f"ended early ({self.result.why})" if self.result.why else "is complete"
            raise StorageError(f"The probe {how}, but images remain ({text}); the next probe removes them.")
        if not self.result.why:
            probe_results.save_result(self.here, self.result)
            probe_results.save_result(self.there, self.result)
        return self.result

    def _there(self) -> None:
        self.report("mirroring an image to the peer")
        name = self._name("plain")
        probe_images.make_probe_image(self.here, name, 2)
        self._begin(name)
        equal = self._equal(name, (0, 1))
        probe_images.write_random(self.here, name, (0,), 1 << 16)
        self._follow(name)
        self.result = replace(self.result, arrives=equal and self._equal(name, (0, 1)))
        probe_images.discard(self.here, name, 1)
        self._follow(name)
        self.result = replace(self.result, discards=self._equal(name, (1,)))

    def _clone(self) -> None:
        self.report("writing to a clone where only its base had data")
        base, name = self._name("base"), self._name("clone")
        probe_images.make_probe_image(self.here, base, 2)
        probe_images.make_clone(self.here, base, name)
        self._begin(base)
        self._begin(name)
        equal = self._equal(name, (0, 1))
        probe_images.write_random(self.here, name, (1,), 4096)
        for _ in range(2):  # what one mirror snapshot missed, the next may contain
            self._follow(name)
            if not equal or self._equal(name, (0, 1)):
                break
        self.result = replace(self.result, clones=equal and self._equal(name, (0, 1)))

    def _back(self) -> None:
        self.report("changing roles and mirroring the image back")
        name = self._name("plain")
        with self.here.image(name) as image:
            image.mirror_image_demote()
        # promoting earlier can cause a split-brain (docs/ceph-facts.md C18)
        for pool in (self.there, self.here):
            failover_promote.wait_for_demotion(pool, {name})
            self.renew()
        failover_promote.promote(self.there, name, True)
        probe_images.write_random(self.there, name, (0,), 1 << 16)
        self._follow(name, back=True)
        self.result = replace(self.result, returns=self._equal(name, (0,)))

    def _name(self, what: str) -> str:
        return probe_images.probe_name(self.result.here, int(self.began * 1000), what)

    def _begin(self, name: str) -> None:
        """Mirror the image, and wait for its initial copy."""
        marker = self._marker()
        with self.here.image(name) as image:
            image.metadata_set(probe_images.KEY, marker)
        probe_images.begin_mirroring(self.here, name, self.mode)
        self._wait(self.there, name, marker)

    def _follow(self, name: str, back: bool = False) -> None:
        """Wait until everything written to the primary before now is in the copy."""
        marker = self._marker()
        probe_images.mark_probe(self.there if back else self.here, name, marker)
        self._wait(self.here if back else self.there, name, marker)

    def _marker(self) -> str:
        """A marker that no other image has: a clone's copy starts with
        its base's metadata (docs/measured.md).
        """
        self.count += 1
        return f"{self.result.here} {self.began:.3f} {self.count}"

    def _wait(self, pool: Pool, name: str, marker: str) -> None:
        for _ in attempts(_STEP_LIMIT_S, _PAUSE_S):
            if probe_images.carries(pool, name, marker):
                return
            self.renew()
        where = "here" if pool is self.here else "at the peer"
        split = "; Ceph calls it split-brain" if name in mirroring.split_brained(pool) else ""
        raise OneDRError(
            f"{name} did not arrive {where} within {_STEP_LIMIT_S} s. Check that rbd-mirror runs there{split}"
        )

    def _equal(self, name: str, objects: tuple[int, ...]) -> bool:
        return probe_images.digest(self.here, name, objects) == probe_images.digest(self.there, name, objects)


_Found = dict[tuple[str, str], Pool]
_Trash = dict[tuple[str, str], tuple[Pool, str]]


def remove_probe_images(here: Pool, there: Pool, renew: Callable[[], None] = lambda: None) -> dict[str, str]:
    """Remove the images of all probes at both sites, in Ceph's trash too. Returns what remains and why. Each
    wait has a limit.

    Primaries are removed first, and rbd-mirror removes their copies. A copy that remains without a primary is
    removed directly. While one site does not answer nothing is removed: rbd-mirror would keep a copy whose
    primary was removed in the meantime (docs/measured.md).
    """
    begun = orphaned_since = time.monotonic()
    problems: dict[str, str] = {}
    pools = {"here": here, "at the peer": there}
    # ids of copies in the trash that only rbd-mirror may remove, after their delay
    for_ceph: set[str] = set()
    for last in attempts(_SWEEP_LIMIT_S, _PAUSE_S):
        found, trash = _found(pools, problems)
        trash = {key: entry for key, entry in trash.items() if entry[1] not in for_ceph}
        unreachable = {name: why for name, why in problems.items() if name.startswith(_ALL)}
        if unreachable or (not found and not trash):
            return {**unreachable, **{f"{name} {where}": "waits for the other site" for where, name in found}}
        if last:
            return {
                f"{name} {where}": problems.get(name, "was not removed") for where, name in [*found, *trash]
            }
        with suppress(OneDRError, rados.Error):
            renew()
        primaries = {key: pool for key, pool in found.items() if _is_primary(pool, key[1])}
        if primaries:
            orphaned_since = time.monotonic()
        elif time.monotonic() - orphaned_since > _ORPHANED_S:
            _each(found, probe_images.remove_copy, problems)
        patient = time.monotonic() - begun < _STRIP_LIMIT_S
        _each(primaries, partial(_remove, here, there, patient), problems)
        for_ceph |= _purge(trash, problems)
    raise AssertionError("the last attempt returns")


def _remove(here: Pool, there: Pool, patient: bool, pool: Pool, name: str) -> None:
    """Remove a primary.

    First remove its user snapshot, and while `patient` wait until its copy has lost it too.
    """
    if probe_images.strip_snapshot(pool, there if pool is here else here, name) or not patient:
        probe_images.remove_copy(pool, name)


def _purge(trash: _Trash, problems: dict[str, str]) -> set[str]:
    """Remove images from Ceph's trash. Returns the ids that only rbd-mirror may remove."""
    left = set()
    for (_, name), (pool, image_id) in trash.items():
        try:
            # a delete delay is set: a base is there with its snapshot
            if not probe_images.purge(pool, image_id):
                left.add(image_id)
        except (rados.Error, rbd.Error) as error:  # rbd-mirror may be removing it
            problems[name] = f"in Ceph's trash: {error}"
    return left


def _found(pools: dict[str, Pool], problems: dict[str, str]) -> tuple[_Found, _Trash]:
    """The images of probes, by site and name.

    A site that does not answer is removed from `pools`, because each attempt costs a minute.
    """
    found: _Found = {}
    trash: _Trash = {}
    for where, pool in list(pools.items()):
        try:
            found.update({(where, name): pool for name in probe_images.remnants(pool)})
            trash.update(
                {(where, name): (pool, image_id) for image_id, name in probe_images.in_trash(pool).items()}
            )
        except (rados.Error, rbd.Error) as error:
            problems[f"{_ALL} {where}"] = f"it does not answer: {error}"
            del pools[where]
    return found, trash


def _is_primary(pool: Pool, name: str) -> bool:
    """Unknown counts as no: the next turn reads it again, or finds that its site does not answer."""
    try:
        return bool(mirroring.is_primary_image(pool, name))
    except (rados.Error, rbd.Error):
        return False


def _each(
    items: dict[tuple[str, str], Pool], action: Callable[[Pool, str], None], problems: dict[str, str]
) -> None:
    for (_, name), pool in items.items():
        try:
            action(pool, name)
        # its clone's copy still exists, or rbd-mirror uses it
        except (OneDRError, rados.Error, rbd.Error) as error:
            problems[name] = str(error)
