"""Two sites become peers: one writes a join file, the other uses it.

Ceph itself ensures that the file works only once (pairing.join_file).
"""
from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from onedr.ceph import admin as ceph_admin
from onedr.ceph import cephx_key, monitor_ping, pool_mirroring
from onedr.ceph.admin import Cluster
from onedr.model.errors import InputError, OneDRError, RecordError, RefusedError, StorageError
from onedr.model.types import PeerState
from onedr.pairing import ceph_caps, join_file
from onedr.pairing.facts import JoinOffer
from onedr.pairing.join_file import JoinFile
from onedr.pairing.undo_log import Joined, Offer, UndoLog
from onedr.replication import encryption
from onedr.runs.run import utc_text

_LOOK_S = 5


@dataclass
class JoinSession:
    """An opened join file: its content, and that of the message it gives access to."""

    file: JoinFile
    join_offer: JoinOffer
    token: str = field(default="", repr=False)
    record_key: str | None = field(default=None, repr=False)


@contextmanager
def _bootstrapping(cluster: Cluster) -> Iterator[None]:
    """Ceph's bootstrap accepts the peer's user only with the caps that it gives itself.

    Ours are narrower, so those are granted meanwhile.
    """
    own = cluster.caps(ceph_caps.PEER)
    if own is not None and own != ceph_caps.PEER_BY_CEPH:
        cluster.set_caps(ceph_caps.PEER, ceph_caps.PEER_BY_CEPH)
    try:
        yield
    finally:
        if own is not None:
            cluster.set_caps(ceph_caps.PEER, own)


def offer(
    cluster: Cluster,
    undo: UndoLog,
    path: Path,
    pool: str,
    site: str,
    valid_s: int,
    record_key: str,
    site_index: int | None,
) -> float:
    """Write the join file for the other site. An earlier one for this pool is withdrawn.

    Returns when it expires, epoch seconds.
    """
    for join_id in [join_id for join_id, offer in undo.offers.items() if offer.pool == pool]:
        withdraw(cluster, undo, join_id)
    with _bootstrapping(cluster):
        token = pool_mirroring.make_token(cluster, pool)
    join_id, secret, expires = join_file.new_id(), join_file.new_secret(), time.time() + valid_s
    message = {
        "token": token,
        "record_key": record_key,
        "site": site,
        "pool": pool,
        "fsid": cluster.fsid(),
        "expires": f"{expires:.0f}",
        "site_index": "" if site_index is None else str(site_index),
    }
    host = socket.gethostname()
    undo.offers[join_id] = Offer(pool, str(path), host, expires)
    undo.save(cluster)
    cluster.store(_message(join_id), join_file.encrypted(secret, message))
    entity = f"{ceph_caps.JOIN_PREFIX}{join_id}"
    cluster.set_caps(entity, ceph_caps.text(ceph_caps.joiner(join_id)))
    key = str(cluster.key(entity))
    join_file.write_join_file(
        path, JoinFile(join_id, site, pool, cluster.fsid(), cluster.mon_host(), round(expires), key, secret)
    )
    return expires


def _message(join_id: str) -> str:
    return f"onedr/join/{join_id}"


def withdraw(cluster: Cluster, undo: UndoLog, join_id: str) -> None:
    """Invalidate a join file that was not used."""
    cluster.remove_user(f"{ceph_caps.JOIN_PREFIX}{join_id}")
    cluster.store(_message(join_id), None)
    del undo.offers[join_id]


def expired_offers(cluster: Cluster, undo: UndoLog, now: float) -> list[str]:
    """Ids of join files that were used, have expired, or were deleted on this machine."""
    def is_over(join_id: str, offer: Offer) -> bool:
        gone = offer.host == socket.gethostname() and not Path(offer.path).exists()
        return gone or offer.expires <= now or cluster.caps(f"{ceph_caps.JOIN_PREFIX}{join_id}") is None

    return [join_id for join_id, offer in undo.offers.items() if is_over(join_id, offer)]


def pending_offer(cluster: Cluster, undo: UndoLog, pool: str, now: float) -> str | None:
    """Path of this pool's join file that is still valid; None when there is none."""
    old = expired_offers(cluster, undo, now)
    good = [each for join_id, each in undo.offers.items() if each.pool == pool and join_id not in old]
    return good[0].path if good else None


def open_join_file(
    path: Path, undo: UndoLog, peers: list[pool_mirroring.PoolPeer], now: float
) -> JoinSession:
    """Read a join file and its message; check that the other site accepts us as its peer. Changes nothing.

    Raises InputError when the file is missing, changed or readable by others; RefusedError when it is
    expired, used, withdrawn or for another site; StorageError when the other site does not answer.
    """
    file = join_file.read_join_file(path)
    _can_use_key(file)
    joined = any(peer.hosts & pool_mirroring.monitor_hosts(file.mon_host) for peer in peers)
    again = f"Create a new one at site {file.site}: onedr setup --offer."
    if file.expires <= now and not joined:
        raise RefusedError(f"{path} was valid until {utc_text(file.expires)}. {again}")
    _answers(file)
    try:
        text = _fetch_message(file)
    except RefusedError as error:
        if not joined and file.join_id in undo.joined:
            when = utc_text(undo.joined[file.join_id].at)
            raise RefusedError(
                f"{path} was used here {when}; a join file works only once. {again}"
            ) from error
        if not joined:
            raise
        text = None
    if text is None and not joined:
        raise RefusedError(f"{path} was already used; a join file works only once. {again}")
    if text is None:
        hosts = pool_mirroring.monitor_hosts(file.mon_host)
        return JoinSession(file, JoinOffer(file.site, file.pool, file.fsid, hosts, None, None, used=True))
    session = _session(file, join_file.decrypted(file.secret, text), now)
    with connect_as_peer(session) as there:
        if pool_mirroring.pool_mode(there, file.pool) != "image":
            raise RefusedError(
                f"Pool {file.pool} of site {file.site} does not mirror per image; run onedr setup again "
                "there."
            )
        session.join_offer = replace(session.join_offer, reads_new_keys=there.knows_key_types())
    return session


def _fetch_message(file: JoinFile) -> str | None:
    """The encrypted message of a join file; None when it was used. Raises RefusedError."""
    entity = f"{ceph_caps.JOIN_PREFIX}{file.join_id}"
    with ceph_admin.join(entity, file.key, file.mon_host, file.site) as there:
        return there.stored(_message(file.join_id))


def _can_use_key(file: JoinFile) -> None:
    """Keys of a newer Ceph mean nothing to an older one, whose own message does not say so."""
    kind = cephx_key.key_type(file.key)
    if kind is not None and not cephx_key.is_readable(kind):
        raise RefusedError(
            f"Ceph at site {file.site} makes keys of type {cephx_key.NAMES.get(kind, kind)}, which Ceph here "
            f"cannot read (19.2.6 and 20.2.4 can). Upgrade here, or at site {file.site}: ceph mon set "
            "auth_allowed_ciphers aes,aes256k; ceph mon set auth_preferred_cipher aes; if there is a "
            f"{ceph_caps.PEER}: ceph auth rotate --key-type=aes {ceph_caps.PEER}; then onedr setup --offer."
        )


def _answers(file: JoinFile) -> None:
    found, detail = monitor_ping.ping_monitors(file.mon_host, _LOOK_S)
    if found is not PeerState.ANSWERS:
        raise StorageError(
            f"Site {file.site} cannot be reached from here: {detail}. Ceph needs ports 3300, 6789 and "
            "6800-7300."
        )


def _session(file: JoinFile, message: dict[str, str], now: float) -> JoinSession:
    if (message["site"], message["pool"], message["fsid"]) != (file.site, file.pool, file.fsid):
        raise RefusedError(
            f"The file was changed since site {message['site']} wrote it. Create a new one with onedr setup "
            "--offer."
        )
    if float(message["expires"]) <= now:
        raise RefusedError(
            f"The file was valid until {utc_text(float(message['expires']))}. Create a new one with onedr "
            "setup --offer."
        )
    index, key = message["site_index"], message["record_key"]
    hosts = pool_mirroring.monitor_hosts(file.mon_host)
    join_offer = JoinOffer(
        file.site, file.pool, file.fsid, hosts, _digest(key) if key else None, int(index) if index else None
    )
    return JoinSession(file, join_offer, message["token"], key or None)


def _digest(key: str) -> str:
    with suppress(ValueError):
        return encryption.fingerprint(base64.b64decode(key, validate=True))
    raise RecordError(
        "The record key in the file is not base64; create a new file at the other site with onedr setup "
        "--offer."
    )


@contextmanager
def connect_as_peer(session: JoinSession) -> Iterator[Cluster]:
    """Connect to the other site's cluster as the user that will be used from now on."""
    try:
        token = json.loads(base64.b64decode(session.token))
        entity, key, mon_host = f"client.{token['client_id']}", str(token["key"]), str(token["mon_host"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            "Ceph's token in the file cannot be read; create a new file with onedr setup --offer."
        ) from error
    with ceph_admin.join(entity, key, mon_host, session.file.site) as there:
        yield there


def knows_us(cluster: Cluster, pool: str, peer: pool_mirroring.PoolPeer) -> bool | None:
    """Does the peer have this cluster as its peer?

    None when it does not answer, or when Ceph does not store how to reach it.
    """
    if not peer.key:
        return None
    try:
        with ceph_admin.join(ceph_caps.PEER, peer.key, peer.mon_host, peer.site) as there:
            names = {cluster.stored(pool_mirroring.SITE_NAME), cluster.fsid()}
            return any(other.site in names for other in pool_mirroring.pool_peers(there, pool))
    except RefusedError:
        return False  # its users have changed since
    except StorageError:
        return None


def join_site(cluster: Cluster, undo: UndoLog, session: JoinSession, site: str, now: float) -> None:
    """Become peers in both directions, and invalidate the file.

    Raises OneDRError; then no new peer is left.
    """
    pool, before = (
        session.file.pool,
        {peer.uuid for peer in pool_mirroring.pool_peers(cluster, session.file.pool)},
    )
    try:
        with _bootstrapping(cluster):
            # for an existing peer of that name it updates address and key
            pool_mirroring.use_token(cluster, pool, session.token)
        with connect_as_peer(session) as there:
            if not any(
                peer.site == site and peer.both_ways for peer in pool_mirroring.pool_peers(there, pool)
            ):
                text = (
                    f"Site {session.file.site} does not have this site as a peer of pool {pool} although "
                    f"Ceph accepted it; check rbd mirror pool info {pool} there."
                )
                raise StorageError(text)
    except OneDRError:
        pool_mirroring.remove_peers(cluster, pool, before)
        raise
    invalidate(session)
    undo.joined[session.file.join_id] = Joined(session.file.site, now)
    undo.save(cluster)


def invalidate(session: JoinSession) -> None:
    """Remove the file's message and its user, so that Ceph refuses the file from now on."""
    file = session.file
    entity = f"{ceph_caps.JOIN_PREFIX}{file.join_id}"
    with ceph_admin.join(entity, file.key, file.mon_host, file.site) as there:
        there.store(_message(file.join_id), None)
        there.remove_user(entity)
