"""The guard of a returned site: ask the peer before anything here is believed (docs/guard.md).

Images that the peer took over are saved by a snapshot and demoted, VMs on them are stopped and locked.
It changes nothing of an image while the peer cannot be read.
"""
from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.ceph.mirroring import MirrorRole
from onedr.failover import peer_vms
from onedr.model.errors import FrontEndError, InterruptedRunError, OneDRError, RefusedError
from onedr.model.types import Settings
from onedr.opennebula.api import FrontEnd
from onedr.replication import both_sites, image_claims, peer_ceph, preserved_copies
from onedr.replication.split_brain import Claim
from onedr.runs.steps import LIMITS_S, StepKind

VERB = "guard"
_GRACE_S = 30  # a second copy of a running VM has this long to shut down by itself
_LOCK_LIMIT_S = 90  # a VM that is neither running nor at rest by then is tried again at the next turn
_THREADS = 100


@dataclass
class Guarded:
    """What a turn found and did: verdict by image, `demoted` images, `locked` VMs, `failed` items with the
    reason.

    `unknown`: why the peer could not be asked; empty when it could, or when nothing here is primary.
    """

    verdicts: dict[str, Claim] = field(default_factory=dict)
    unknown: str = ""
    demoted: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    busy: str = ""  # another run holds the lease: it, or the next turn, does what must be done

    def of(self, verdict: Claim) -> list[str]:
        """Images judged so."""
        return sorted(name for name, found in self.verdicts.items() if found is verdict)


def turn(pool: Pool, settings: Settings, frontend: FrontEnd | None) -> Guarded:
    """Look, and do what must be done. Without a front-end, or when it does not answer, only images are dealt
    with.

    While a run of a failover, failback, … is in progress, roles are its business: nothing is done.
    """
    roles = mirroring.roles(pool)
    found = _look(pool, settings, roles)
    vms = _wrong_vms(pool, frontend, roles)
    if not found.of(Claim.STALE) and not vms:
        return found
    try:
        with both_sites.begin_run(pool, settings, VERB) as run:
            found = look(pool, settings)
            _lock_vms(found, frontend, {*vms, *_users(pool, frontend, found.of(Claim.STALE))})
            run.check()
            _demote(pool, found)
    except (InterruptedRunError, RefusedError) as error:
        found = look(pool, settings)  # the other one may have done it meanwhile
        found.busy = str(error)
        found.failed["this datastore"] = f"not guarded now: {error}"
    return found


def look(pool: Pool, settings: Settings) -> Guarded:
    """Judge every mirrored image that is primary here. The peer is asked only when there is one."""
    return _look(pool, settings, mirroring.roles(pool))


def _look(pool: Pool, settings: Settings, roles: Mapping[str, MirrorRole]) -> Guarded:
    primaries = [name for name, role in roles.items() if role.primary]
    found = Guarded()
    if not primaries:
        return found
    sight = peer_ceph.probe_peer(pool, settings)
    try:
        with peer_ceph.peer_pool(sight, pool.access.pool) as (there, seen):
            if there is None:
                found.unknown = seen
            else:
                _judge(found, pool, there, roles)
    except OneDRError as error:
        found.unknown = f"{sight.detail}; its images cannot be read: {error}"
    if found.unknown:
        found.verdicts = dict.fromkeys(primaries, Claim.UNKNOWN)
    return found


def _judge(found: Guarded, pool: Pool, there: Pool, roles: Mapping[str, MirrorRole]) -> None:
    for name, result in image_claims.judge_roles(pool, there, roles).items():
        if isinstance(result, OneDRError):
            found.failed[name] = str(result)
        found.verdicts[name] = Claim.UNKNOWN if isinstance(result, OneDRError) else result


def _users(pool: Pool, frontend: FrontEnd | None, images: Iterable[str]) -> set[int]:
    """VMs here with one of these disks."""
    wanted = set(images)
    if frontend is None or not wanted:
        return set()
    try:
        return {vm.vm_id for vm in peer_vms.on_pool(frontend, pool.access.pool) if vm.touches & wanted}
    except FrontEndError:
        return set()  # oned does not run (yet): the next reconcile locks them


def _wrong_vms(pool: Pool, frontend: FrontEnd | None, roles: Mapping[str, MirrorRole]) -> set[int]:
    """VMs that could start, or run, on a disk that is not this site's to write."""
    if frontend is None:
        return set()
    copies = {name for name, role in roles.items() if not role.primary}
    if not copies:
        return set()
    try:
        elements = frontend.vms()
    except FrontEndError:
        return set()
    seen = [peer_vms.of_element(element, pool.access.pool) for element in elements]
    return {vm.vm_id for vm in seen if vm.images & copies and not peer_vms.is_held(vm)}


def _lock_vms(found: Guarded, frontend: FrontEnd | None, vms: set[int]) -> None:
    if frontend is None or not vms:
        return
    results = parallel.each(
        sorted(vms), lambda vm: peer_vms.lock_vm(frontend, vm, _LOCK_LIMIT_S, _GRACE_S), _LOCK_LIMIT_S * 2, 16
    )
    for vm, result in results.items():
        if isinstance(result, OneDRError):
            found.failed[f"VM {vm}"] = str(result)
        else:
            found.locked.append(f"VM {vm}")


def _demote(pool: Pool, found: Guarded) -> None:
    results = parallel.each(
        found.of(Claim.STALE), lambda name: demote(pool, name), LIMITS_S[StepKind.DEMOTE], _THREADS
    )
    for name, result in results.items():
        if isinstance(result, OneDRError):
            found.failed[name] = str(result)
        else:
            found.demoted.append(name)


def demote(pool: Pool, name: str) -> str:
    """Save what the image holds by a snapshot, then make it a copy. Reads back. A snapshot that fails does
    not stop it.

    The caller has proven that the peer is primary with a higher term, or the operator gave this site up.
    """
    problem = ""
    with pool.image(name) as image:
        if not mirroring.is_primary(image):
            return "is demoted already"
        try:
            preserved_copies.snapshot_divergent(image, time.time())
        except rbd.Error as error:  # a second writer is worse; reprotect makes a full copy then
            problem = f", without a snapshot ({error})"
        image.mirror_image_demote()
    with pool.image(name, read_only=True) as image:
        if mirroring.is_primary(image):
            raise OneDRError(f"{name} is still primary although Ceph accepted its demotion")
    return f"demoted{problem}"
