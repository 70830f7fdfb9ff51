"""The peer's Ceph: its state, and connections to it."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import rados
import rbd

from onedr.ceph import connection, mirroring, mon_host, monitor_ping, peer_access
from onedr.ceph.connection import Pool
from onedr.ceph.peer_access import PeerAccess
from onedr.host import threads
from onedr.model.errors import OneDRError, PeerUnreachableError
from onedr.model.types import CephAccess, PeerState, Settings

if TYPE_CHECKING:
    from onedr.model.records import ImageFacts

LIMIT_S = 3  # of every single remote call; Ceph accepts whole seconds only
# For connections that write to images: detecting a dead client takes Ceph up to 30 s, and a lower limit
# crashed librbd once (docs/measured.md).
PATIENT_S = 40
DARK_S = 1.2  # for whoever only shows: TCP sends its first packet again after 1 s


@dataclass(frozen=True)
class PeerStatus:
    """What is seen of the peer. `access` opens its cluster (None: its key may not be read from here)."""

    peer: PeerState
    detail: str
    access: PeerAccess | None = field(default=None, repr=False)
    configured: CephAccess | None = None

    @property
    def can_connect(self) -> bool:
        """Is there a way in? Whether it works only a connection tells."""
        return self.configured is not None or self.access is not None

    @property
    def addresses_known(self) -> bool:
        """Is there an address at which its monitors can be called?"""
        return bool(self.access and mon_host.addresses(self.access.mon_host))

    @property
    def refusal(self) -> str:
        """Why the peer's images cannot be read from here; empty when they probably can."""
        if self.peer is not PeerState.ANSWERS:
            return self.detail
        if self.can_connect:
            return ""
        return f"{self.detail}, but its images may not be read from here; see docs/failover.md"


def probe_peer(pool: Pool, settings: Settings, images: Iterable[ImageFacts] = ()) -> PeerStatus:
    """Ping the peer's monitors.

    Their addresses are in Ceph's peer entry, or in the newest record that the peer wrote on `images`. Where
    no address is known, a connection through librados tells whether it answers.
    """
    access = peer_access.peer_access(pool)
    told = (access.mon_host if access else "") or _from_records(pool, images)
    if access is not None:
        access = access._replace(mon_host=told)
    found, detail = monitor_ping.ping_monitors(told, LIMIT_S)
    return _tried(pool, PeerStatus(found, detail, access, settings.peer), told)


def begin_probe(
    pool: Pool, settings: Settings, connect_s: float = DARK_S
) -> Callable[..., PeerStatus]:
    """`probe_peer` beside what the caller does meanwhile: the result, given the images, waits for it.

    `connect_s`: a machine that takes no connection within it is called silent; one that does gets the usual
    limit.
    """
    access = peer_access.peer_access(pool)
    known = access.mon_host if access else ""
    told: list[tuple[PeerState, str]] = []
    asked = threads.start(lambda: told.append(monitor_ping.ping_monitors(known, LIMIT_S, connect_s)))

    def result(images: Iterable[ImageFacts] = ()) -> PeerStatus:
        if not mon_host.addresses(known):
            return probe_peer(pool, settings, images)
        asked.join()
        ((found, detail),) = told
        return PeerStatus(found, detail, access, settings.peer)

    return result


def _tried(pool: Pool, status: PeerStatus, known: str) -> PeerStatus:
    """With librados asked, where `known` has no address that could be pinged."""
    if status.peer is not PeerState.ANSWERS and not mon_host.addresses(known) and status.can_connect:
        return _connected(status, pool.access.pool)
    return status


def _from_records(pool: Pool, images: Iterable[ImageFacts]) -> str:
    records = [record for image in images for record in (image.vm, image.image) if record]
    here = pool.fsid() if records else ""
    written = [record for record in records if record.fsid != here and not record.doubt]
    return max(written, key=lambda record: record.generation).mon_host if written else ""


def _connected(status: PeerStatus, pool_name: str) -> PeerStatus:
    """librados finds monitors in ways of its own (ceph.conf, DNS SRV): so it is asked."""
    try:
        with open_peer(status, pool_name):
            return replace(status, peer=PeerState.ANSWERS, detail="it lets us in")
    except (OneDRError, rados.Error) as error:
        return replace(status, detail=f"{status.detail}, and librados finds none: {str(error).rstrip('.')}")


def may_read(pool: Pool, settings: Settings) -> bool:
    """Can the peer's Ceph be read from here: is a connection configured, or may we read its key?

    Nothing is sent to the peer.
    """
    return settings.peer is not None or peer_access.peer_access(pool) is not None


@contextmanager
def open_peer(peer_status: PeerStatus, pool_name: str, operation_limit_s: int = LIMIT_S) -> Iterator[Pool]:
    """Open the peer's pool of the same name. Raises StorageError when it does not answer within the limit."""
    if peer_status.configured is not None:
        with connection.connect(
            peer_status.configured, LIMIT_S, max(operation_limit_s, LIMIT_S * 10)
        ) as pool:
            yield pool
        return
    if peer_status.access is None:
        raise PeerUnreachableError("The peer's Ceph cannot be opened: our Ceph user may not read its key.")
    where = f"The peer's Ceph{f' at {peer_status.access.mon_host}' if peer_status.access.mon_host else ''}"
    try:
        cluster = peer_access.connect_peer(peer_status.access, LIMIT_S, operation_limit_s)
    except rados.Error as error:
        raise PeerUnreachableError(f"{where} refuses access: {error}") from error
    try:
        with cluster.open_ioctx(pool_name) as io:
            yield Pool(cluster, io, CephAccess(pool_name))
    except rados.Error as error:
        raise PeerUnreachableError(f"{where}: {error}") from error
    finally:
        cluster.shutdown()


@contextmanager
def peer_pool(
    status: PeerStatus, pool_name: str, operation_limit_s: int = LIMIT_S, refusal: str | None = None
) -> Iterator[tuple[Pool | None, str]]:
    """The peer's pool of the same name with what is seen of the peer; or None with why it is not open.

    `refusal`: why opening it is not tried; by default whatever the ping shows, empty to try in any case.
    Raises StorageError when the connection fails later, while the pool is in use.
    """
    reason = status.refusal if refusal is None else refusal
    pool = None
    with ExitStack() as stack:
        if not reason:
            try:
                pool = stack.enter_context(open_peer(status, pool_name, operation_limit_s))
            except (OneDRError, rados.Error) as error:
                reason = f"{status.detail}; its images cannot be read: {error}"
        yield pool, reason or status.detail


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
