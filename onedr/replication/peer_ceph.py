"""The peer's Ceph: its state, and connections to it."""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import rados
import rbd

from onedr.ceph import connection, mirroring, monitor_ping
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError, PeerUnreachableError
from onedr.model.types import CephAccess, PeerState, Settings

if TYPE_CHECKING:
    from onedr.model.records import ImageFacts

LIMIT_S = 3  # of every single remote call; Ceph accepts whole seconds only
# For connections that write to images: detecting a dead client takes Ceph up to 30 s, and a lower limit
# crashed librbd once (docs/measured.md).
PATIENT_S = 40


@dataclass(frozen=True)
class PeerStatus:
    """The state of the peer.

    `key` gives access to its cluster (None: we may not read it, or there is none).
    """

    peer: PeerState
    detail: str
    mon_host: str = ""
    key: str | None = field(default=None, repr=False)
    configured: CephAccess | None = None

    @property
    def can_connect(self) -> bool:
        """Is there a configuration or a key to connect with?"""
        return bool(self.configured or (self.key and self.mon_host))

    @property
    def refusal(self) -> str:
        """Why the peer's images cannot be read from here; empty when they probably can."""
        if self.peer is not PeerState.ANSWERS:
            return self.detail
        return "" if self.can_connect else f"{self.detail}, but its images may not be read from here"


@dataclass(frozen=True)
class Unreachable:
    """Why the peer's pool could not be opened."""

    reason: str


def probe_peer(pool: Pool, settings: Settings, images: Iterable[ImageFacts] = ()) -> PeerStatus:
    """Ping the peer's monitors.

    Their addresses are in Ceph's peer entry, or in the newest record that the peer wrote on `images`.
    """
    mon_host, key = _from_ceph(pool)
    if not mon_host:
        records = [record for image in images for record in (image.vm, image.image)]
        written = [record for record in records if record is not None and record.fsid != pool.fsid()]
        mon_host = max(written, key=lambda record: record.generation).mon_host if written else ""
    found, detail = monitor_ping.ping_monitors(mon_host, LIMIT_S)
    return PeerStatus(found, detail, mon_host, key, settings.peer)


def may_read(pool: Pool, settings: Settings) -> bool:
    """Can the peer's Ceph be read from here: is a connection configured, or may we read its key?

    Nothing is sent to the peer.
    """
    return settings.peer is not None or _from_ceph(pool)[1] is not None


def _from_ceph(pool: Pool) -> tuple[str, str | None]:
    for peer_id in mirroring.mirror_peers(pool):
        found = mirroring.peer_key(pool, peer_id)
        if found:
            return found
    return "", None


@contextmanager
def open_peer(peer_status: PeerStatus, pool_name: str, operation_limit_s: int = LIMIT_S) -> Iterator[Pool]:
    """Open the peer's pool of the same name. Raises StorageError when it does not answer within the limit."""
    if peer_status.configured is not None:
        with connection.connect(
            peer_status.configured, LIMIT_S, max(operation_limit_s, LIMIT_S * 10)
        ) as pool:
            yield pool
        return
    try:
        cluster = mirroring.connect_peer(
            peer_status.mon_host, str(peer_status.key), LIMIT_S, operation_limit_s
        )
    except rados.Error as error:
        raise PeerUnreachableError(
            f"The peer's Ceph at {peer_status.mon_host} refuses access: {error}"
        ) from error
    try:
        with cluster.open_ioctx(pool_name) as io:
            yield Pool(cluster, io, CephAccess(pool_name))
    except rados.Error as error:
        raise PeerUnreachableError(f"The peer's Ceph at {peer_status.mon_host}: {error}") from error
    finally:
        cluster.shutdown()


@contextmanager
def peer_pool(
    status: PeerStatus, pool_name: str, operation_limit_s: int = LIMIT_S
) -> Iterator[Pool | Unreachable]:
    """The peer's pool of the same name when the peer answers and lets us in, else the reason why not.

    Raises StorageError when the connection fails later, while the pool is in use.
    """
    reason = status.refusal
    with ExitStack() as stack:
        if not reason:
            try:
                pool = stack.enter_context(open_peer(status, pool_name, operation_limit_s))
            except OneDRError as error:
                reason = f"{status.detail}; its images cannot be read: {error}"
        yield Unreachable(reason) if reason else pool


def fence(peer: Pool, name: str) -> None:
    """Demote the peer's image, so that nothing can write to it there. Reads back.

    A missing image needs no fence.
    """
    try:
        with peer.image(name) as image:
            if mirroring.is_mirrored_primary(image):
                image.mirror_image_demote()
            if mirroring.is_primary(image):
                raise OneDRError(
                    f"{name} is still primary at the peer after it was demoted; check rbd mirror image "
                    "status there"
                )
    except rbd.ImageNotFound:
        return
