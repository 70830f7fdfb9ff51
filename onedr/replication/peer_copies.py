"""What the peer holds of this site's images: looked at there when we may, else by the mirror status, which
is a hint.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError
from onedr.model.records import Epoch, ImageFacts
from onedr.model.types import Settings
from onedr.replication import image_facts, peer_ceph
from onedr.replication.peer_ceph import Unreachable


@dataclass(frozen=True)
class Copy:
    """The peer's copy of an image. `recovery_point` None: not known."""

    complete: bool
    recovery_point: float | None
    primary: bool = False  # the peer's image is mirrored and claims to be primary
    epoch: Epoch | None = None


@dataclass(frozen=True)
class Copies:
    """Copies by image name, and what is seen of the peer.

    `proven`: read from the images there, not from the status.
    """

    by_name: Mapping[str, Copy]
    peer_status: peer_ceph.PeerStatus
    proven: bool


def collect_copies(
    pool: Pool, settings: Settings, names: Iterable[str], peer_status: peer_ceph.PeerStatus | None = None
) -> Copies:
    """Look at the peer's copies of `names`; every remote call is bounded, a dark peer costs seconds at the
    most.

    `sight`: what is seen of the peer, where the caller has looked already.
    """
    wanted = list(names)
    peer_status = peer_status or peer_ceph.probe_peer(pool, settings)
    try:
        with peer_ceph.peer_pool(peer_status, pool.access.pool) as there:
            if not isinstance(there, Unreachable):
                return Copies(_read_copies(there, wanted, settings), peer_status, True)
            if not peer_status.refusal:
                peer_status = replace(peer_status, detail=there.reason)
    except OneDRError as error:
        peer_status = replace(peer_status, detail=f"{peer_status.detail}; its images cannot be read: {error}")
    replaying = mirroring.replaying_at_peer(pool)
    return Copies({name: Copy(True, None) for name in wanted if name in replaying}, peer_status, False)


def _read_copies(there: Pool, wanted: list[str], settings: Settings) -> dict[str, Copy]:
    found = parallel.each(
        wanted, lambda name: image_facts.image_facts(there, name, settings), peer_ceph.LIMIT_S * 3, 16
    )
    return {
        name: _copy(fact) for name, fact in found.items()
        if fact is not None and not isinstance(fact, OneDRError)
    }


def _copy(fact: ImageFacts) -> Copy:
    """While rbd-mirror begins or removes a copy, it is not mirrored for a moment: that is nobody's primary.
    """
    primary = fact.primary and fact.mode is not None
    return Copy(fact.complete and not fact.stale, fact.recovery_point, primary, fact.epoch)
