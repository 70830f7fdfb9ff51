"""What `onedr setup` finds: facts for pairing.plan, read as the administrator."""
from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from onedr.ceph import cephx_key, keyring, pool_mirroring
from onedr.ceph.admin import Cluster
from onedr.host import config as host_config
from onedr.host import systemd
from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.model.errors import InputError
from onedr.model.parsing import NAME
from onedr.model.types import Mode
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd, attributes
from onedr.pairing import ceph_caps
from onedr.pairing import front_end as pairing_front_end
from onedr.pairing import join as pairing_join
from onedr.pairing import plan as pairing_plan
from onedr.pairing.apply import key_digest
from onedr.pairing.facts import ChangeKind, DesiredState, MirrorDaemons, PairingFacts, PeerSite
from onedr.pairing.join import JoinSession
from onedr.pairing.undo_log import UndoLog

_INTERVAL = re.compile(r"[1-9][0-9]{0,4}[mhd]")


@dataclass(frozen=True)
class PairingTarget:
    """What is set up: a pool, and its datastore if known."""

    pool: str
    conf: str = ""
    user: str = ""
    keyfile: str = ""
    data_pool: str = ""
    site: str = ""
    site_index: int | None = None
    schedule: str = ""
    datastore: datastores.Datastore | None = None


def of_datastore(name: str) -> PairingTarget:
    """The target from a datastore's attributes. Raises FrontEndError, InputError."""
    element = FrontEnd().find_datastore(name)
    found = datastores.from_element(element)
    access, settings = found.access, found.settings
    says = settings.protect or template.get(attributes(element), "DR_SITE_INDEX")
    return PairingTarget(
        access.pool,
        access.conf,
        access.user,
        access.keyfile,
        access.data_pool,
        settings.site,
        settings.site_index if says else None,
        settings.schedule if settings.mode is Mode.SNAPSHOT else "",
        found,
    )


def check_names(desired: DesiredState) -> None:
    """Check names and the interval before anything else.

    Raises InputError.
    """
    if desired.schedule and not _INTERVAL.fullmatch(desired.schedule):
        raise InputError(
            f"{desired.schedule!r} is not what a Ceph schedule takes: minutes, hours or days such as 5m, 1h, "
            "1d."
        )
    for what, name in (
        ("pool", desired.pool),
        ("site", desired.site),
        ("Ceph user", desired.user),
        ("data pool", desired.data_pool),
    ):
        if name and not NAME.fullmatch(name):
            raise InputError(
                f"{name!r} is not a valid name of a {what}: use letters, digits, dots, dashes and "
                "underscores."
            )


def collect_facts(
    cluster: Cluster, conf: str, desired: DesiredState, undo: UndoLog, join: str
) -> tuple[PairingFacts, JoinSession | None]:
    """Collect all facts. `join`: path of the other site's file, empty: none. Raises OneDRError."""
    pool, now = desired.pool, time.time()
    application = pool_mirroring.application(cluster, pool)
    if application is None:
        return PairingFacts(cluster.fsid(), pool_there=False), None
    found = pool_mirroring.pool_peers(cluster, pool)
    session = pairing_join.open_join_file(Path(join), undo, found, now) if join else None
    running = _running(cluster)
    site = desired.site or cluster.stored(pool_mirroring.SITE_NAME) or ""
    daemon = pairing_plan.daemon_user(PairingFacts("", daemons=MirrorDaemons(running)), site)
    entities = (f"client.{desired.user}", daemon, ceph_caps.PEER)
    users = {entity: cluster.caps(entity) for entity in entities if not entity.endswith(".")}
    unit = systemd.mirror_unit(conf, daemon) if site else ""
    names = [setting.name for setting in pairing_plan.settings(desired)]
    return PairingFacts(
        cluster.fsid(),
        True,
        application,
        pool_mirroring.pool_mode(cluster, pool),
        cluster.stored(pool_mirroring.SITE_NAME),
        tuple(_peer(cluster, desired, peer) for peer in found),
        users,
        {entity: _keyring(cluster, conf, entity) for entity in users if entity != ceph_caps.PEER},
        cluster.settings(),
        {name: cluster.effective(daemon, name) for name in names},
        {name: value for name in names if (value := keyring.option_in_file(conf, daemon, name)) is not None},
        pool_mirroring.schedule(cluster, pool) if desired.schedule and application else None,
        key_digest(front_end_paths().record_key),
        str(front_end_paths().record_key),
        MirrorDaemons(
            running, unit, bool(unit) and systemd.is_active(unit), systemd.manual_hint(conf, daemon)
        ),
        pairing_join.pending_offer(cluster, undo, pool, now),
        tuple(sorted(undo.pools())), _ours(undo), session.join_offer if session else None,
        pairing_front_end.configured(), str(host_config.path()),
        cluster.new_key_type(), _peer_key_type(cluster),
    ), session


def _peer_key_type(cluster: Cluster) -> str:
    """Of the user that the other site has here; a new one gets the type that this cluster makes."""
    key = cluster.key(ceph_caps.PEER)
    return cluster.new_key_type() if key is None else cephx_key.NAMES.get(cephx_key.key_type(key) or 0, "")


def _peer(cluster: Cluster, desired: DesiredState, peer: pool_mirroring.PoolPeer) -> PeerSite:
    """The peer is contacted only when that decides whether a file is needed."""
    known = pairing_join.knows_us(cluster, desired.pool, peer) if desired.offer else None
    return PeerSite(peer.uuid, peer.site, peer.both_ways, peer.hosts, known)


def _running(cluster: Cluster) -> tuple[str, ...]:
    """Users of the daemons that report.

    The reported ids lack Ceph's prefix `rbd-mirror.`. A daemon whose user does not exist has ended, but is
    still listed for a minute.
    """
    names = [form for name in cluster.mirror_daemons() for form in (f"rbd-mirror.{name}", name)]
    return tuple(name for name in names if cluster.caps(f"client.{name}") is not None)


def _keyring(cluster: Cluster, conf: str, entity: str) -> tuple[str, bool]:
    """The file where this machine reads a user's key, and whether the key in it is correct."""
    path, key = keyring.path_for(conf, entity), cluster.key(entity)
    return str(path), key is not None and keyring.key_in(path, entity) == key


def _ours(undo: UndoLog) -> frozenset[str]:
    return frozenset(
        each.key for each in undo.changes if each.kind is ChangeKind.USER and each.before is None
    )


def user_of(datastore: etree._Element) -> str:
    """CEPH_USER of any datastore; empty when it has none."""
    return template.get(attributes(datastore), "CEPH_USER")
