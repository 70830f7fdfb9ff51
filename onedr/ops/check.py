"""`onedr check`: look at everything at once, each look with a limit, and let policy judge. Changes nothing.

Looks go side by side; one that fails or hangs is a fact of its own, an Unknown with the reason.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, cast

from onedr.errors import OneDRError
from onedr.model import Card, Peer
from onedr.names import is_ours
from onedr.ops import check_sites, enable, parallel, peer, status
from onedr.ops import probe as probing
from onedr.ops.check_sites import PeerView
from onedr.ops.protected import Datastore
from onedr.policy import checks, inventory
from onedr.policy.check_facts import Cluster, Facts, Finding, Known, Level, Mirrors, Peering, Replicas, Room, Unknown
from onedr.ports import cards, ceph, estate, mirror, proofs
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd

_LIMIT_S = 4.0  # of one look
_CEPH_LIMIT_S = 3
_VOLATILE = "one-sys-"
Source = Callable[[], Any]


def check(datastore: Datastore) -> list[Finding]:
    """Everything there is to say of a datastore. Never raises for what cannot be reached: that is a finding."""
    facts = Facts(datastore.name, datastore.settings)
    try:
        with ceph.connect(datastore.access, _CEPH_LIMIT_S, _CEPH_LIMIT_S) as pool:
            return checks.findings(_with_ceph(facts, datastore, pool))
    except OneDRError as error:
        lost = Unknown(check_sites.reason(error))
        found = _known(_front_end_sources(datastore))
        facts = replace(
            facts, here=_dark(lost), there=_dark(lost), peer=lost, readable=lost, verdict=lost, unprotected=lost, images=lost,
            clashes=lost, schedules=lost, snapshots_kept=lost, proofs=lost, start_here=lost, start_there=lost)
        return checks.findings(replace(facts, **found))


def site_check() -> list[Finding]:
    """Everything there is to say of the front-end as a whole."""
    def known(name: str, source: Source) -> object:
        return _known({name: source})[name]

    try:
        frontend = FrontEnd(limit_s=check_sites.LIMIT_S)
    except OneDRError as error:
        return [Finding("ONED", Level.PROBLEM, str(error), "set ONE_AUTH, or run it as the front-end's user")]
    return checks.site_findings(check_sites.site(frontend, known))


def _known(sources: Mapping[str, Source]) -> dict[str, Any]:
    """All looks side by side; what fails, or does not end within the limit, is an Unknown."""
    found = parallel.each(sources, lambda name: sources[name](), _LIMIT_S, len(sources))
    return {
        name: Unknown(check_sites.reason(value)) if isinstance(value, OneDRError) else value for name, value in found.items()
    }


def _with_ceph(facts: Facts, datastore: Datastore, pool: Pool) -> Facts:
    sources: dict[str, Source] = {
        "here": lambda: _cluster(pool, datastore.name),
        "settings_here": lambda: estate.mirror_options(pool),
        "peer": lambda: _peer(pool, datastore),
        "view": lambda: status.view(pool, datastore, FrontEnd(limit_s=check_sites.LIMIT_S)),
        "schedules": lambda: frozenset(mirror.scheduled(pool)),
        "snapshots_kept": lambda: int(estate.option(pool, estate.KEPT)),
        "proofs": lambda: proofs.last(pool),
        "peer_view": lambda: check_sites.peer_front_end(datastore),
        **_front_end_sources(datastore),
    }
    found = _known(sources)
    here, view, looked, peer_view = (found.pop(name) for name in ("here", "view", "peer", "peer_view"))
    options = found.pop("settings_here")
    here = _dark(here) if isinstance(here, Unknown) else replace(here, settings=options)
    facts = _with_peer(replace(replace(facts, **found), here=here), looked)
    if isinstance(view, Unknown):
        return replace(facts, verdict=view, unprotected=view, images=view, start_here=view, start_there=view)
    facts = replace(
        facts, verdict=view.verdict, images=view.facts,
        unprotected={name: why for name, why in view.unprotected.items() if status.counts(why)},
    )
    return _with_targets(facts, pool, peer_view)


def _with_peer(facts: Facts, looked: Any) -> Facts:
    """What was seen of the peer's Ceph: (sight, cluster, clashes), each known or not."""
    if isinstance(looked, Unknown):
        return replace(facts, peer=looked, readable=looked, there=_dark(looked), clashes=looked)
    sight, cluster, clashes, clock = looked
    facts = replace(facts, peer=(sight.peer, sight.detail), readable=sight.can_connect, there=cluster, clashes=clashes)
    return replace(facts, clock_s=clock) if isinstance(facts.clock_s, Unknown) else facts


def _dark(why: Unknown) -> Cluster:
    return Cluster(*[why] * len(Cluster.__dataclass_fields__))


def _cluster(pool: Pool, card: str) -> Cluster:
    """One site's Ceph, by an open pool; `card`: the datastore's name there."""
    sources: dict[str, Source] = {
        "fsid": pool.fsid,
        "peering": lambda: Peering(*estate.peering(pool)),
        "mirrors": lambda: _mirrors(pool),
        "releases": lambda: estate.releases(pool),
        "replicas": lambda: Replicas(*estate.replicas(pool)),
        "room": lambda: Room(*estate.room(pool)),
        "card": lambda: cards.read(pool).get(card),
    }
    return replace(Cluster(), **_known(sources))


def _mirrors(pool: Pool) -> Mirrors:
    own, _ = estate.reports(pool)
    return Mirrors(estate.mirrors(pool), len(own.up) + len(own.down), len(own.up))


def _peer(pool: Pool, datastore: Datastore) -> tuple[peer.Sight, Cluster, Known[tuple[str, ...]], Known[tuple[float, float]]]:
    """The peer's Ceph, as far as it answers and lets us in."""
    sight = peer.look(pool, datastore.settings)
    if sight.peer is not Peer.ANSWERS:
        why = Unknown(f"the peer's Ceph does not answer ({sight.detail})")
        return sight, _dark(why), why, why
    if not sight.can_connect:
        why = Unknown("the peer's Ceph may not be read from here")
        return sight, replace(_dark(why), **_known({"mirrors": lambda: _remote(pool)})), why, why
    try:
        with peer.connect(sight, pool.access.pool) as there:
            sources: dict[str, Source] = {
                "cluster": lambda: _cluster(there, datastore.settings.peer_datastore or datastore.name),
                "clashes": lambda: _clashes(pool, there),
                "clock": lambda: _clock(there),
            }
            found = _known(sources)
    except OneDRError as error:
        why = Unknown(check_sites.reason(error))
        return sight, _dark(why), why, why
    cluster = found["cluster"]
    if isinstance(cluster, Unknown):
        return sight, _dark(cluster), found["clashes"], found["clock"]
    return sight, _with_card_options(cluster), found["clashes"], found["clock"]


def _with_card_options(cluster: Cluster) -> Cluster:
    """The options of its rbd-mirror as the peer sees them itself: its configuration files are not seen from here."""
    card = cluster.card
    if isinstance(card, Card):
        return replace(cluster, settings=dict(card.options))
    why = card if isinstance(card, Unknown) else Unknown("it has left no word of itself in its pool yet")
    return replace(cluster, settings=why)


def _remote(pool: Pool) -> Mirrors:
    """What the peer's rbd-mirror reported here: all there is to know where the peer may not be read."""
    _, remote = estate.reports(pool)
    total = len(remote.up) + len(remote.down)
    if not total:
        raise OneDRError("the peer's Ceph may not be read from here, and no image is mirrored")
    return Mirrors(1, total, len(remote.up))


def _clashes(pool: Pool, there: Pool) -> tuple[str, ...]:
    """Names that both sites use for different images. Volatile disks are mirrored nowhere and may be called alike."""
    here_roles, there_roles = mirror.roles(pool), mirror.roles(there)
    shared = set(pool.names()) & set(there.names())
    return tuple(sorted(
        name for name in shared if is_ours(name) and not name.startswith(_VOLATILE)
        and (name not in here_roles or name not in there_roles or here_roles[name].global_id != there_roles[name].global_id)
    ))


def _clock(there: Pool) -> tuple[float, float]:
    """By the newest report of the peer's rbd-mirror, which is up to 31 s old."""
    own, _ = estate.reports(there)
    if own.newest is None:
        raise OneDRError("nothing that the peer's Ceph says carries a time")
    ahead = own.newest - time.time()
    return ahead, ahead + 31


def _front_end_sources(datastore: Datastore) -> dict[str, Source]:
    def frontend() -> FrontEnd:
        return FrontEnd(limit_s=check_sites.LIMIT_S)

    return {
        "networks": lambda: check_sites.networks(frontend()),
        "disk_drivers": lambda: check_sites.disk_drivers(frontend()),
        "unknown_to_oned": lambda: enable.unknown_to_oned(frontend()),
        "key": check_sites.own_key,
        "guarded": lambda: check_sites.is_guarded(datastore),
        "clock_s": check_sites.clock,
    }


def _with_targets(facts: Facts, pool: Pool, peer_view: Known[PeerView]) -> Facts:
    """What each site has for the other's VMs."""
    images, fsid = facts.images, facts.here.fsid
    if isinstance(images, Unknown) or isinstance(fsid, Unknown):
        return facts
    sources: dict[str, Source] = {
        "start_here": lambda: check_sites.target(
            FrontEnd(limit_s=check_sites.LIMIT_S), facts.settings, pool, fsid, inventory.vms(images, fsid)),
    }
    there = facts.there.fsid
    if not isinstance(peer_view, Unknown) and peer_view.settings is not None and not isinstance(there, Unknown):
        settings, view = peer_view.settings, peer_view
        sources["start_there"] = lambda: check_sites.target(
            view.frontend, settings, pool, there, inventory.vms(images, fsid, own=True))
    facts = replace(facts, **_known(sources))
    if "start_there" in sources:
        return facts
    if isinstance(peer_view, Unknown):
        return replace(facts, start_there=peer_view)
    if peer_view.settings is None:
        why = f"the peer's front-end has no protected datastore {facts.settings.peer_datastore or facts.datastore} of this pool"
        return replace(facts, start_there=Unknown(why))
    return replace(facts, start_there=cast(Unknown, there))


def probe(datastore: Datastore, tell: Callable[[str], None]) -> dict[str, Any]:
    """Send small images to the peer and back (ops.probe); what was found, as an event. Raises OneDRError."""
    with ceph.connect(datastore.access) as pool:
        proof = probing.probe(pool, datastore.settings, tell=tell)
    if proof.why:
        raise OneDRError(f"The probe ended before its end: {proof.why}. Nothing of it stays.")
    return {**asdict(proof), "mode": proof.mode.value}


def described(found: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as plain data."""
    return [
        {"datastore": one.subject, "code": one.code, "level": one.level.value, "text": one.text, "todo": one.todo}
        for one in found
    ]


def bad_attributes(datastore: str, error: OneDRError) -> dict[str, str]:
    """The finding of a datastore whose attributes cannot be used: nothing else can be said of it."""
    return described([Finding("ATTRIBUTES", Level.PROBLEM, str(error), f"onedatastore update {datastore}", datastore)])[0]
