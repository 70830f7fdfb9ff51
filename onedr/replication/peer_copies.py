"""The peer's copies of this site's images:
read there when that is allowed, else from the mirror status, which is a hint.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import rados

from onedr.ceph import mirroring, receiving
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model.errors import OneDRError
from onedr.model.records import Epoch
from onedr.model.rehearsed import Rehearsed
from onedr.model.types import Settings
from onedr.replication import epoch, image_facts, image_view, peer_ceph, rehearsals
from onedr.replication.image_view import ImageView
from onedr.replication.quiet_marks import Until


@dataclass(frozen=True)
class Copy:
    """The peer's copy of an image. `recovery_point` None: unknown."""

    complete: bool
    recovery_point: float | None
    primary: bool = False  # the peer's image is mirrored and claims to be primary
    epoch: Epoch | None = None
    group_snapshots: frozenset[str] = frozenset()  # of a complete copy


@dataclass(frozen=True)
class Copies:
    """Copies by image name, and the state of the peer.

    `proven`: read from the images there, not from the mirror status. `rehearsed`: what came of this site's
    VMs in their last rehearsals there, by origin, where that was asked for.
    """

    by_name: Mapping[str, Copy]
    peer_status: peer_ceph.PeerStatus
    proven: bool
    here: str = ""  # id of this site's cluster
    rehearsed: Mapping[str, Rehearsed] = field(default_factory=dict)
    paused: bool = False  # the peer's pool takes nothing (ceph/receiving.py)


def collect_copies(
    pool: Pool, settings: Settings, names: Iterable[str], peer_status: peer_ceph.PeerStatus | None = None,
    with_rehearsals: bool = False,
) -> Copies:
    """Read the peer's copies of `names`. Every remote call has a limit; an unreachable peer costs a few
    seconds.

    `peer_status`: the state of the peer, when the caller knows it already.
    """
    wanted = list(names)
    peer_status = peer_status or peer_ceph.probe_peer(pool, settings)
    try:
        with peer_ceph.peer_pool(peer_status, pool.access.pool) as (there, seen):
            if there is not None:
                rehearsed = _rehearsed(there, pool.fsid()) if with_rehearsals else {}
                copies, paused = _read_copies(there, wanted, settings), receiving.is_paused(there)
                return Copies(copies, peer_status, True, pool.fsid(), rehearsed, paused)
            if not peer_status.refusal:
                peer_status = replace(peer_status, detail=seen)
    except OneDRError as error:
        peer_status = replace(peer_status, detail=f"{peer_status.detail}; its images cannot be read: {error}")
    replaying = mirroring.replaying_at_peer(pool)
    return Copies(
        {name: Copy(True, None) for name in wanted if name in replaying}, peer_status, False, pool.fsid()
    )


def _rehearsed(there: Pool, fsid: str) -> dict[str, Rehearsed]:
    """A status without them is a status."""
    try:
        return rehearsals.results_of(there, fsid)
    except rados.Error as error:
        log.warning(f"what rehearsals at the peer found cannot be read: {error}")
        return {}


def _read_copies(there: Pool, wanted: list[str], settings: Settings) -> dict[str, Copy]:
    views = image_view.read_views(there, wanted, peer_ceph.LIMIT_S * 3, 16)
    quiet = image_facts.stated(views.values(), image_facts.reader(), there.fsid())
    return {
        name: _copy(view, settings, quiet) for name, view in views.items() if isinstance(view, ImageView)
    }


def _copy(view: ImageView, settings: Settings, quiet: Until) -> Copy:
    """While rbd-mirror creates or removes a copy, the copy is not mirrored for a moment: it is not a primary.
    """
    point, _ = image_facts.copy_point(view, settings, quiet)
    complete = point.complete and not image_facts.is_stale(view)
    return Copy(
        complete, point.at, view.primary and view.mode is not None,
        epoch.epoch_in(view.metadata, view.global_id), view.group_snapshots if complete else frozenset(),
    )
