"""The steps of a planned move that are taken at the peer, and taking them back."""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.failover import peer_vms, planned_move
from onedr.host.waiting import attempts
from onedr.model.errors import OneDRError
from onedr.model.text import Sentence

_PAUSE_S = 0.3
_BACK_LIMIT_S = 90
_RUN_LIMIT_S = 120


def first_few_reasons(items: Mapping[str, str]) -> str:
    """Items and why, for a sentence: the first three."""
    told = "; ".join(f"{item}: {why}" for item, why in list(items.items())[:3])
    return told + (f"; and {len(items) - 3} more" if len(items) > 3 else "")


def said(verb: str, why: str, undone: Mapping[str, str]) -> Sentence:
    """That a run was rolled back, and what of it could not be; for the public without items and reasons."""
    if not undone:
        text = f"The {verb} was rolled back, the peer is the primary as before"
        return Sentence(f"{text} ({why}).", f"{text}. onedr history says why.")
    again = "Run onedr abort to retry the rollback."
    left = first_few_reasons(undone)
    return Sentence(
        f"The {verb} failed ({why}) and could not be fully rolled back ({left}). {again}",
        f"The {verb} failed, and {len(undone)} item(s) could not be rolled back; see onedr history. {again}",
    )


def roll_back(
    here: Pool, there: Pool | None, names: Sequence[str], fenced: bool
) -> dict[str, str | OneDRError]:
    """Undo what a move did at the peer before its first promotion: its images primary again, then its VMs as
    they were.

    `there` None: the peer's Ceph cannot be reached; then, if it came to fencing, images may be demoted there
    and neither they nor their VMs can be given back. Results by image name and `VM n at the peer`.
    """
    results: dict[str, str | OneDRError] = {}
    if there is None and fenced:
        lost = OneDRError("the peer's Ceph cannot be reached from here, where it may be demoted now")
        results.update(dict.fromkeys(names, lost))
    elif there is not None:
        pool = there
        results.update(
            parallel.each(
                names, lambda name: return_image(here, pool, name, _BACK_LIMIT_S), _BACK_LIMIT_S * 2, 32
            )
        )
    stuck = {name for name, result in results.items() if isinstance(result, OneDRError)}
    site = peer_vms.collect_peer_vms(here.access.pool)
    if site.frontend is None or site.vms is None:
        return {**results, "the VMs at the peer": OneDRError(f"its front-end does not answer: {site.detail}")}
    frontend = site.frontend
    locked = {
        f"VM {vm.vm_id} at the peer": vm
        for vm in planned_move.to_release(site.vms, names, {*stuck, *_primary_here(here, names)})
    }
    released = parallel.each(
        locked, lambda label: peer_vms.unlock_vm(frontend, locked[label], _RUN_LIMIT_S), _RUN_LIMIT_S * 2, 16
    )
    return {**results, **released}


def _primary_here(here: Pool, names: Iterable[str]) -> set[str]:
    found = set()
    for name in names:
        with here.image(name, read_only=True) as image:
            if mirroring.is_primary(image):
                found.add(name)
    return found


def return_image(here: Pool, there: Pool, name: str, limit_s: float) -> str:
    """Make the peer's image primary again after its demotion; refused when ours is. Reads back."""
    with here.image(name, read_only=True) as image:
        if mirroring.is_primary(image):
            raise OneDRError(f"{name} is primary here already; it is not given back")
    with there.image(name) as image:
        if mirroring.is_primary(image):
            return "is primary there"
        for last in attempts(limit_s, _PAUSE_S):
            try:
                image.mirror_image_promote(False)
                break
            except (rbd.ImageBusy, rbd.ReadOnlyImage, rbd.InvalidArgument) as error:
                if last:
                    raise OneDRError(f"{name} could not be promoted at the peer again: {error}") from error
    with there.image(name, read_only=True) as image:
        if not mirroring.is_primary(image):
            raise OneDRError(f"{name} is not primary at the peer although Ceph accepted its promotion there")
    return "is primary there again"
