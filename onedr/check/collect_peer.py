"""The peer's Ceph, as `onedr check` sees it: the way there is looked for once and shared by all looks."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import rados
import rbd

from onedr.ceph import cluster_info, mirroring
from onedr.ceph.connection import Pool
from onedr.check.facts import Mirrors
from onedr.host import threads
from onedr.model.errors import OneDRError
from onedr.model.names import is_ours
from onedr.model.types import PeerState
from onedr.opennebula.datastores import Datastore
from onedr.replication import peer_ceph

_LIMIT_S = 8.0
_REPORT_S = 31.0  # how old a report of rbd-mirror may be
_VOLATILE = "one-sys-"
_SETTLE_S = 1.0  # a copy that rbd-mirror just makes or removes is not mirrored for a moment


class Way:
    """The look at the peer, begun at once in the background. Its pool stays open as long as `stack`."""

    def __init__(self, pool: Pool, datastore: Datastore, stack: ExitStack):
        self._pool, self._datastore, self._stack = pool, datastore, stack
        self._sight: peer_ceph.PeerStatus | OneDRError = OneDRError(
            f"looking at the peer did not end within {_LIMIT_S:g} s"
        )
        self._there: Pool | OneDRError = self._sight
        self._tried = False  # was there a way in?
        self._done = threading.Event()
        threads.start(self._look)

    def _look(self) -> None:
        try:
            self._sight = self._open(peer_ceph.probe_peer(self._pool, self._datastore.settings))
        except OneDRError as error:
            self._sight = self._there = error
        except (rados.Error, rbd.Error) as error:
            self._sight = self._there = OneDRError(f"Ceph: {error}")
        finally:
            self._done.set()

    def _open(self, sight: peer_ceph.PeerStatus) -> peer_ceph.PeerStatus:
        """Its pool too, when it answers.

        What does not let us read is not read by others either: they need not wait for it.
        """
        if not sight.can_connect:
            self._there = OneDRError("the peer's Ceph may not be read from here")
        elif sight.peer is not PeerState.ANSWERS:
            self._there = OneDRError(f"the peer's Ceph does not answer ({sight.detail})")
        else:
            self._tried = True
            try:
                self._there = there = self._stack.enter_context(
                    peer_ceph.open_peer(sight, self._pool.access.pool)
                )
                mirroring.mirror_peers(there)
                return sight
            except (OneDRError, rados.Error, rbd.Error) as error:
                self._there = OneDRError(f"the peer's Ceph cannot be read: {str(error).rstrip('.')}")
                return replace(sight, access=None, configured=None)
        return sight

    def sight(self) -> peer_ceph.PeerStatus:
        """What is seen of the peer. Raises OneDRError."""
        self._done.wait(_LIMIT_S)
        if isinstance(self._sight, OneDRError):
            raise self._sight
        return self._sight

    def seen(self) -> tuple[PeerState, str]:
        """Does the peer answer, its storage too, and a sentence. Raises OneDRError."""
        sight = self.sight()
        if sight.peer is not PeerState.ANSWERS and not sight.addresses_known and not self._tried:
            raise OneDRError(
                "no address of the peer's monitors is known: our user may not read the peer's entry in Ceph"
            )
        if sight.peer is PeerState.ANSWERS and isinstance(self._there, OneDRError) and self._tried:
            return PeerState.UNKNOWN, f"{sight.detail}, but {self._there}"
        return sight.peer, sight.detail

    def readable(self) -> bool:
        """May the peer's Ceph be read from here?

        Raises OneDRError when that cannot be told: it does not answer.
        """
        if not self.sight().can_connect and not self._tried:
            return False
        self.there()
        return True

    def there(self) -> Pool:
        """The peer's pool. Raises OneDRError that says why not."""
        self._done.wait(_LIMIT_S)
        if isinstance(self._there, OneDRError):
            raise self._there
        return self._there


def mirrors(pool: Pool) -> Mirrors:
    """A cluster's own rbd-mirror."""
    own, _ = cluster_info.reports(pool)
    return Mirrors(cluster_info.mirrors(pool), len(own.up) + len(own.down), len(own.up))


def remote_mirrors(pool: Pool) -> Mirrors:
    """What the peer's rbd-mirror reported here: all there is to know where the peer may not be read.

    Raises OneDRError.
    """
    _, remote = cluster_info.reports(pool)
    total = len(remote.up) + len(remote.down)
    if not total:
        raise OneDRError("no image is mirrored, so the peer's rbd-mirror reports nothing here")
    return Mirrors(1, total, len(remote.up))


def clashes(here: Pool, there: Pool) -> tuple[str, ...]:
    """Names that both sites use for different images.

    Volatile disks are mirrored nowhere and may be called alike.
    """
    found = _clashing(here, there)
    if found:
        time.sleep(_SETTLE_S)
        found &= _clashing(here, there)
    return tuple(sorted(found))


def _clashing(here: Pool, there: Pool) -> set[str]:
    here_roles, there_roles = mirroring.roles(here), mirroring.roles(there)
    shared = set(here.names()) & set(there.names())
    return {
        name
        for name in shared
        if is_ours(name)
        and not name.startswith(_VOLATILE)
        and (
            name not in here_roles
            or name not in there_roles
            or here_roles[name].global_id != there_roles[name].global_id
        )
    }


def peer_clock(there: Pool) -> tuple[float, float]:
    """By how much the peer's clock is ahead, at the least and at the most, by the newest report of its rbd-
    mirror.
    """
    own, _ = cluster_info.reports(there)
    if own.newest is None:
        raise OneDRError("nothing that the peer's Ceph says carries a time")
    ahead = own.newest - time.time()
    return ahead, ahead + _REPORT_S


@dataclass(frozen=True)
class Both:
    """One look, and another for when the first fails."""

    first: Callable[[], object]
    second: Callable[[], object]

    def __call__(self) -> object:
        try:
            return self.first()
        except (OneDRError, rados.Error, rbd.Error):
            return self.second()
