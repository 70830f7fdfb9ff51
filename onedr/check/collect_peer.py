"""Facts about the peer's Ceph for `onedr check`. One connection is shared by all sources of facts."""
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
from onedr.model.names import is_managed
from onedr.model.types import PeerState
from onedr.opennebula.datastores import Datastore
from onedr.replication import peer_ceph

_LIMIT_S = 8.0
_REPORT_S = 31.0  # how old a report of rbd-mirror may be
_VOLATILE = "one-sys-"
_SETTLE_S = 1.0  # a copy that rbd-mirror is creating or removing is not mirrored for a moment


class PeerConnection:
    """A connection to the peer, opened at once in the background. Its pool stays open as long as `stack`."""

    def __init__(self, pool: Pool, datastore: Datastore, stack: ExitStack):
        self._pool, self._datastore, self._stack = pool, datastore, stack
        self._sight: peer_ceph.PeerStatus | OneDRError = OneDRError(
            f"the connection to the peer was not established within {_LIMIT_S:g} s"
        )
        self._there: Pool | OneDRError = self._sight
        self._tried = False  # was a connection possible?
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

    def _open(self, peer_status: peer_ceph.PeerStatus) -> peer_ceph.PeerStatus:
        """Open the peer's pool when it answers.

        When access fails here, other users of the connection need not try.
        """
        if not peer_status.can_connect:
            self._there = OneDRError(
                "the peer's Ceph cannot be read from here: there is no key or configuration for it"
            )
        elif peer_status.peer is not PeerState.ANSWERS:
            self._there = OneDRError(f"the peer's Ceph does not answer ({peer_status.detail})")
        else:
            self._tried = True
            try:
                self._there = there = self._stack.enter_context(
                    peer_ceph.open_peer(peer_status, self._pool.access.pool)
                )
                mirroring.mirror_peers(there)
                return peer_status
            except (OneDRError, rados.Error, rbd.Error) as error:
                self._there = OneDRError(f"the peer's Ceph cannot be read: {str(error).rstrip('.')}")
                return replace(peer_status, access=None, configured=None)
        return peer_status

    def peer_status(self) -> peer_ceph.PeerStatus:
        """The state of the peer. Raises OneDRError."""
        self._done.wait(_LIMIT_S)
        if isinstance(self._sight, OneDRError):
            raise self._sight
        return self._sight

    def seen(self) -> tuple[PeerState, str]:
        """Whether the peer answers, its storage too, with a sentence. Raises OneDRError."""
        peer_status = self.peer_status()
        if peer_status.peer is not PeerState.ANSWERS and not peer_status.addresses_known and not self._tried:
            raise OneDRError(
                "no address of the peer's monitors is known: our Ceph user may not read the peer's entry"
            )
        if peer_status.peer is PeerState.ANSWERS and isinstance(self._there, OneDRError) and self._tried:
            return PeerState.UNKNOWN, f"{peer_status.detail}, but {self._there}"
        return peer_status.peer, peer_status.detail

    def readable(self) -> bool:
        """Can the peer's Ceph be read from here?

        Raises OneDRError when that is unknown because it does not answer.
        """
        if not self.peer_status().can_connect and not self._tried:
            return False
        self.there()
        return True

    def there(self) -> Pool:
        """The peer's pool. Raises OneDRError with the reason why it is not open."""
        self._done.wait(_LIMIT_S)
        if isinstance(self._there, OneDRError):
            raise self._there
        return self._there


def mirror_report(pool: Pool) -> Mirrors:
    """The state of a cluster's own rbd-mirror."""
    own, _ = cluster_info.reports(pool)
    return Mirrors(cluster_info.mirror_daemon_count(pool), len(own.up) + len(own.down), len(own.up))


def remote_mirrors(pool: Pool) -> Mirrors:
    """What the peer's rbd-mirror reported here, which is all that is known when the peer cannot be read.

    Raises OneDRError.
    """
    _, remote = cluster_info.reports(pool)
    total = len(remote.up) + len(remote.down)
    if not total:
        raise OneDRError("no image is mirrored, so the peer's rbd-mirror reports nothing here")
    return Mirrors(1, total, len(remote.up))


def clashes(here: Pool, there: Pool) -> tuple[str, ...]:
    """Names that both sites use for different images.

    Volatile disks are never mirrored and may have equal names.
    """
    found = _clashing(here, there)
    if found:
        time.sleep(_SETTLE_S)  # once: an image that rbd-mirror is just creating differs for a moment
        found &= _clashing(here, there)
    return tuple(sorted(found))


def _clashing(here: Pool, there: Pool) -> set[str]:
    here_roles, there_roles = mirroring.roles(here), mirroring.roles(there)
    shared = set(here.names()) & set(there.names())
    return {
        name
        for name in shared
        if is_managed(name)
        and not name.startswith(_VOLATILE)
        and (
            name not in here_roles
            or name not in there_roles
            or here_roles[name].global_id != there_roles[name].global_id
        )
    }


def peer_clock(there: Pool) -> tuple[float, float]:
    """By how much the peer's clock is ahead, at the least and at the most,
    by the newest report of its rbd-mirror.
    """
    own, _ = cluster_info.reports(there)
    if own.newest is None:
        raise OneDRError("nothing that the peer's Ceph reports has a time")
    ahead = own.newest - time.time()
    return ahead, ahead + _REPORT_S


@dataclass(frozen=True)
class FirstOf:
    """A source of a fact, and a second one for when the first fails."""

    first: Callable[[], object]
    second: Callable[[], object]

    def __call__(self) -> object:
        try:
            return self.first()
        except (OneDRError, rados.Error, rbd.Error):
            return self.second()
