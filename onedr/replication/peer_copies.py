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
from onedr.model.types import PeerState, Settings
from onedr.replication import image_facts, peer_ceph


@dataclass(frozen=True)
class Copy:
    """The peer's copy of an image. `recovery_point` None: not known."""

    complete: bool
    recovery_point: float | None
    primary: bool = False  # the peer's image is mirrored and claims to be primary
    term: Epoch | None = None


@dataclass(frozen=True)
class Copies:
    """Copies by image name, and what is seen of the peer.

    `proven`: read from the images there, not from the status.
    """

    by_name: Mapping[str, Copy]
    sight: peer_ceph.PeerStatus
    proven: bool
    here: str = ""  # id of this site's cluster


def collect_copies(
    pool: Pool, settings: Settings, names: Iterable[str], sight: peer_ceph.PeerStatus | None = None
) -> Copies:
    """Look at the peer's copies of `names`; every remote call is bounded, a dark peer costs seconds at the
    most.

    `sight`: what is seen of the peer, where the caller has looked already.
    """
    wanted = list(names)
    sight = sight or peer_ceph.probe_peer(pool, settings)
    if sight.peer is PeerState.ANSWERS and sight.can_connect:
        try:
            with peer_ceph.open_peer(sight, pool.access.pool) as there:
                found = parallel.each(
                    wanted,
                    lambda name: image_facts.image_facts(there, name, settings),
                    peer_ceph.LIMIT_S * 3,
                    16,
                )
        except OneDRError as error:
            sight = replace(sight, detail=f"{sight.detail}; its images cannot be read: {error}")
        else:
            facts = {
                name: fact
                for name, fact in found.items()
                if fact is not None and not isinstance(fact, OneDRError)
            }
            return Copies({name: _copy(fact) for name, fact in facts.items()}, sight, True, pool.fsid())
    replaying = mirroring.replaying_at_peer(pool)
    return Copies({name: Copy(True, None) for name in wanted if name in replaying}, sight, False, pool.fsid())


def _copy(fact: ImageFacts) -> Copy:
    """While rbd-mirror begins or removes a copy, it is not mirrored for a moment: that is nobody's primary.
    """
    primary = fact.primary and fact.mode is not None
    return Copy(fact.complete and not fact.stale, fact.recovery_point, primary, fact.term)
