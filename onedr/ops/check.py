"""`onedr check`: look at everything at once, each look with a limit, and let policy judge. Changes nothing.

Looks go side by side; one that fails or hangs is a fact of its own, an Unknown with the reason.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any, cast

from onedr.errors import OneDRError
from onedr.facts import Card
from onedr.model import Mode
from onedr.ops import check_peer, check_sites, enable, parallel, status
from onedr.ops import probe as probing
from onedr.ops.check_peer import Way
from onedr.ops.check_sites import PeerView
from onedr.ops.protected import Datastore
from onedr.policy import checks, inventory
from onedr.policy.check_facts import Cluster, Facts, Finding, Known, Level, Peering, Replicas, Room, Unknown
from onedr.ports import cards, ceph, estate, mirror, proofs
from onedr.ports.ceph import Pool

_LIMIT_S = 10.0  # of one look; what it asks has shorter limits of its own
_MGR_LIMIT_S = 3.0  # python-rados knows none for the manager's answers
_CEPH_LIMIT_S = 3
Source = Callable[[], Any]


def check(datastore: Datastore) -> list[Finding]:
    """Everything there is to say of a datastore. Never raises for what cannot be reached: that is a finding."""
    facts = Facts(datastore.name, datastore.settings)
    try:
        with ceph.connect(datastore.access, _CEPH_LIMIT_S, _CEPH_LIMIT_S) as pool, ExitStack() as stack:
            return checks.findings(_with_ceph(facts, datastore, pool, Way(pool, datastore, stack)))
    except OneDRError as error:
        lost = Unknown(check_sites.reason(error))
        facts = replace(
            facts, here=_dark(lost), there=_dark(lost), peer=lost, readable=lost, verdict=lost, unprotected=lost, images=lost,
            clashes=lost, schedules=lost, snapshots_kept=lost, proofs=lost, start_here=lost, start_there=lost)
        return checks.findings(replace(facts, **_known(_front_end_sources(datastore))))


def site_check() -> list[Finding]:
    """Everything there is to say of the front-end as a whole."""
    def known(name: str, source: Source) -> object:
        return _known({name: source})[name]

    try:
        frontend = check_sites.front_end()
    except OneDRError as error:
        return [Finding("ONED", Level.PROBLEM, str(error), "set ONE_AUTH, or run it as the front-end's user")]
    return checks.site_findings(check_sites.site(frontend, known))


def _known(sources: Mapping[str, Source]) -> dict[str, Any]:
    """All looks side by side; what fails, or does not end within the limit, is an Unknown."""
    found = parallel.each(sources, lambda name: sources[name](), _LIMIT_S, len(sources))
    return {
        name: Unknown(check_sites.reason(value)) if isinstance(value, OneDRError) else value for name, value in found.items()
    }


def _with_ceph(facts: Facts, datastore: Datastore, pool: Pool, way: Way) -> Facts:
    sources: dict[str, Source] = {
        **{f"here.{name}": source for name, source in _cluster(lambda: pool, datastore.name).items()},
        "here.settings": lambda: estate.mirror_options(pool),
        **{f"there.{name}": source for name, source in _cluster(
            way.there, datastore.settings.peer_datastore or datastore.name).items()},
        "peer": way.seen,
        "readable": way.readable,
        "clashes": lambda: check_peer.clashes(pool, way.there()),
        "view": lambda: status.view(pool, datastore, check_sites.front_end(), way.sight),
        "schedules": lambda: _schedules(pool, datastore),
        "snapshots_kept": lambda: int(estate.option(pool, estate.KEPT)),
        "proofs": lambda: proofs.last(pool),
        "peer_view": lambda: check_sites.peer_front_end(datastore),
        **_front_end_sources(datastore),
        "clock_s": check_peer.Both(check_sites.clock, lambda: check_peer.clock(way.there())),
    }
    sources["there.mirrors"] = check_peer.Both(sources["there.mirrors"], lambda: check_peer.remote_mirrors(pool))
    found = _known(sources)
    here, there = _cluster_of(found, "here."), _with_card_options(_cluster_of(found, "there."))
    view, peer_view = found.pop("view"), found.pop("peer_view")
    facts = replace(facts, **found, here=here, there=there)
    if isinstance(view, Unknown):
        return replace(facts, verdict=view, unprotected=view, images=view, start_here=view, start_there=view)
    facts = replace(
        facts, verdict=view.verdict, images=view.facts,
        unprotected={name: why for name, why in view.unprotected.items() if status.counts(why)},
    )
    return _with_targets(facts, pool, peer_view)


def _cluster(opened: Callable[[], Pool], card: str) -> dict[str, Source]:
    """Looks at one site's Ceph; `card`: the datastore's name there."""
    return {
        "fsid": lambda: opened().fsid(),
        "peering": lambda: Peering(*estate.peering(opened())),
        "mirrors": lambda: check_peer.mirrors(opened()),
        "releases": lambda: estate.releases(opened()),
        "replicas": lambda: Replicas(*estate.replicas(opened())),
        "room": lambda: Room(*estate.room(opened())),
        "card": lambda: cards.read(opened()).get(card),
    }


def _cluster_of(found: dict[str, Any], prefix: str) -> Cluster:
    """Takes what was found of one cluster out of `found`."""
    own = {name: found.pop(name) for name in list(found) if name.startswith(prefix)}
    return replace(Cluster(), **{name[len(prefix):]: value for name, value in own.items()})


def _with_card_options(cluster: Cluster) -> Cluster:
    """The options of its rbd-mirror as the peer sees them itself: its configuration files are not seen from here."""
    card = cluster.card
    if isinstance(card, Card):
        return replace(cluster, settings=dict(card.options))
    why = card if isinstance(card, Unknown) else Unknown("it has left no word of itself in its pool yet")
    return replace(cluster, settings=why)


def _schedules(pool: Pool, datastore: Datastore) -> frozenset[str]:
    if datastore.settings.mode is not Mode.SNAPSHOT:
        return frozenset()
    found = parallel.each(("",), lambda _: mirror.scheduled(pool), _MGR_LIMIT_S)[""]
    if isinstance(found, OneDRError):
        raise OneDRError(f"the manager does not tell its schedules: {found}")
    return frozenset(found)


def _dark(why: Unknown) -> Cluster:
    return Cluster(*[why] * len(Cluster.__dataclass_fields__))


def _front_end_sources(datastore: Datastore) -> dict[str, Source]:
    return {
        "networks": lambda: check_sites.networks(check_sites.front_end()),
        "disk_drivers": lambda: check_sites.disk_drivers(check_sites.front_end()),
        "unknown_to_oned": lambda: enable.unknown_to_oned(check_sites.front_end()),
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
            check_sites.front_end(), facts.settings, pool, fsid, inventory.vms(images, fsid)),
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
