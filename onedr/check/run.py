"""`onedr check`: collect all facts in parallel, each with a time limit, and evaluate them. Read-only.

A source that fails or hangs gives an Unknown with the reason.
"""
from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any, cast

from onedr.ceph import (
    cluster_info,
    connection,
    image_groups,
    image_use,
    mirror_schedule,
    mirroring,
    parallel,
)
from onedr.ceph.connection import Pool
from onedr.ceph.mirror_schedule import NoSchedulesError
from onedr.check import collect_front_ends, collect_map, collect_peer, probe_results
from onedr.check import probe as check_probe
from onedr.check import table as check_table
from onedr.check.collect_front_ends import PeerView
from onedr.check.collect_peer import PeerConnection
from onedr.check.facts import (
    CheckFacts,
    ClusterFacts,
    Finding,
    Known,
    Level,
    NewestSnapshots,
    Peering,
    PoolSpace,
    Rehearsals,
    Replicas,
    Unknown,
)
from onedr.model.errors import OneDRError
from onedr.model.records import SiteInfo
from onedr.model.types import Mode
from onedr.opennebula.datastores import Datastore
from onedr.protection import enable, snapshot_schedule, status
from onedr.replication import inventory, rehearsals, signed_versions, site_info
from onedr.runs.answer_events import FindingShown, ProbeEvent

_LIMIT_S = 12.0  # of one source; the calls in it have shorter limits
_CEPH_LIMIT_S = 3
Source = Callable[[], Any]
Found = dict[str, Any]
"""What the sources gave, by the name of the field of CheckFacts or ClusterFacts; Unknown where none."""


def check(datastore: Datastore) -> list[Finding]:
    """All findings about a datastore, with commands that can be pasted.

    Never raises when something cannot be reached: that is a finding.
    """
    names = {"<pool>": datastore.access.pool, "<datastore>": datastore.name}
    return [replace(one, todo=_pasted(one.todo, names)) for one in _check(datastore)]


def _pasted(todo: str, names: Mapping[str, str]) -> str:
    """A command of a rule, which knows no names, with the names in it."""
    for placeholder, name in names.items():
        todo = todo.replace(placeholder, shlex.quote(name))
    return todo


def _check(datastore: Datastore) -> list[Finding]:
    facts = CheckFacts(datastore.name, datastore.settings, datastore.access.data_pool)
    try:
        with connection.connect(datastore.access, _CEPH_LIMIT_S, _CEPH_LIMIT_S) as pool, ExitStack() as stack:
            return check_table.findings(
                _with_ceph(facts, datastore, pool, PeerConnection(pool, datastore, stack))
            )
    except OneDRError as error:
        lost = Unknown(collect_front_ends.reason(error))
        facts = replace(
            facts,
            here=_dark(lost),
            there=_dark(lost),
            peer=lost,
            readable=lost,
            verdict=lost,
            unprotected=lost,
            images=lost,
            clashes=lost,
            groups=lost,
            locks=lost,
            schedules=lost,
            newest_snapshots=lost,
            snapshots_kept=lost,
            probe_results=lost,
            rehearsals=lost,
            start_here=lost,
            start_there=lost,
            mapping=lost,
            recovery=lost,
        )
        return check_table.findings(replace(facts, **_known(_front_end_sources(datastore))))


def site_check() -> list[Finding]:
    """All findings about the front-end."""
    def known(name: str, source: Source) -> object:
        return _known({name: source})[name]

    try:
        frontend = collect_front_ends.front_end()
    except OneDRError as error:
        return [
            Finding(
                "ONED", Level.PROBLEM, str(error), "set ONE_AUTH, or run the command as the front-end's user"
            )
        ]
    return check_table.site_findings(collect_front_ends.site(frontend, known))


def _known(sources: Mapping[str, Source]) -> Found:
    """Collect all facts in parallel. A source that fails or exceeds the limit gives an Unknown."""
    found = parallel.each(sources, lambda name: sources[name](), _LIMIT_S, len(sources))
    return {
        name: Unknown(collect_front_ends.reason(value)) if isinstance(value, OneDRError) else value
        for name, value in found.items()
    }


def _with_ceph(facts: CheckFacts, datastore: Datastore, pool: Pool, way: PeerConnection) -> CheckFacts:
    there_called = datastore.settings.peer_datastore or datastore.name
    sources: dict[str, Source] = {
        **{f"here.{name}": source for name, source in _cluster(lambda: pool, datastore.name).items()},
        "here.settings": lambda: cluster_info.mirror_options(pool),
        **{f"there.{name}": source for name, source in _cluster(way.there, there_called).items()},
        "peer": way.seen,
        "readable": way.readable,
        "clashes": lambda: collect_peer.clashes(pool, way.there()),
        "groups": lambda: image_groups.members(pool),
        "locks": lambda: image_use.locked_by_hand(pool, _primaries(pool)),
        "view": lambda: status.collect_status(
            pool, datastore, collect_front_ends.front_end(), way.peer_status
        ),
        **_snapshot_sources(pool, datastore),
        "probe_results": lambda: probe_results.last_result(pool),
        "rehearsals": lambda: _rehearsals(pool, datastore),
        "mapping": lambda: collect_map.collect(pool, datastore, way),
        "recovery": lambda: collect_map.recovery(pool, datastore, way),
        "peer_view": lambda: collect_front_ends.peer_front_end(datastore),
        **_front_end_sources(datastore),
        "clock_s": collect_peer.FirstOf(
            collect_front_ends.front_end_clock, lambda: collect_peer.peer_clock(way.there())
        ),
    }
    sources["there.mirrors"] = collect_peer.FirstOf(
        sources["there.mirrors"], lambda: collect_peer.remote_mirrors(pool)
    )
    found = _known(sources)
    here, there = _cluster_of(found, "here."), _with_published_options(_cluster_of(found, "there."))
    view, peer_view = found.pop("view"), found.pop("peer_view")
    facts = replace(facts, **found, here=here, there=there)
    if isinstance(view, Unknown):
        return replace(facts, verdict=view, unprotected=view, images=view, start_here=view, start_there=view)
    facts = replace(
        facts, verdict=view.verdict, images=view.facts,
        unprotected={name: why.text for name, why in view.unprotected.items() if why.is_problem},
    )
    return _with_targets(facts, pool, peer_view, datastore.datastore_id)


def _snapshot_sources(pool: Pool, datastore: Datastore) -> dict[str, Source]:
    """Sources of facts about mirror snapshots."""
    return {
        "schedules": lambda: _schedules(pool, datastore),
        "newest_snapshots": lambda: _newest_snapshots(pool, datastore),
        "snapshots_kept": lambda: int(cluster_info.own_option(pool, cluster_info.KEPT)),
    }


def _cluster(opened: Callable[[], Pool], name: str) -> dict[str, Source]:
    """Sources of facts about one site's Ceph; `name`: of the datastore there."""
    return {
        "fsid": lambda: opened().fsid(),
        "peering": lambda: Peering(*cluster_info.peering(opened())),
        "mirrors": lambda: collect_peer.mirror_report(opened()),
        "releases": lambda: cluster_info.releases(opened()),
        "replicas": lambda: Replicas(*cluster_info.replicas(opened())),
        "space": lambda: PoolSpace(*cluster_info.pool_space(opened())),
        "pools": lambda: frozenset(map(str, opened().cluster.list_pools())),
        "namespaces": lambda: tuple(map(str, opened().rbd.namespace_list(opened().io))),
        "line_mode": lambda: cluster_info.line_mode(opened()),
        "ciphers": lambda: cluster_info.allowed_ciphers(opened()),
        "site_info": lambda: site_info.read_site_info(opened()).get(name),
    }


def _cluster_of(found: Found, prefix: str) -> ClusterFacts:
    """Move the facts of one cluster out of `found`."""
    own = {name: found.pop(name) for name in list(found) if name.startswith(prefix)}
    return replace(ClusterFacts(), **{name[len(prefix):]: value for name, value in own.items()})


def _with_published_options(cluster: ClusterFacts) -> ClusterFacts:
    """Use the rbd-mirror options that the peer published: its configuration files cannot be read from here.
    """
    info = cluster.site_info
    if isinstance(info, SiteInfo):
        return replace(cluster, settings=dict(info.options))
    why = info if isinstance(info, Unknown) else Unknown("it has not published its settings yet")
    return replace(cluster, settings=why)


def _rehearsals(pool: Pool, datastore: Datastore) -> Rehearsals:
    made = rehearsals.made(pool, datastore.datastore_id)
    at_work = not rehearsals.is_free(pool, datastore.datastore_id)
    left = 0 if at_work else len(made.vms) + len(made.images)
    return Rehearsals(time.time(), rehearsals.results(pool, datastore.datastore_id), left)


def _schedules(pool: Pool, datastore: Datastore) -> frozenset[str]:
    if datastore.settings.mode is not Mode.SNAPSHOT:
        return frozenset()
    try:
        return frozenset(mirror_schedule.schedules(pool))
    except NoSchedulesError as error:
        raise OneDRError(f"{error}. The keeper takes the mirror snapshots meanwhile") from error


def _newest_snapshots(pool: Pool, datastore: Datastore) -> NewestSnapshots:
    if datastore.settings.mode is not Mode.SNAPSHOT:
        return NewestSnapshots()
    primaries = _primaries(pool)
    ages: dict[str, float | None] = {}
    found = parallel.each(primaries, lambda name: snapshot_schedule.newest_age_s(pool, name), _CEPH_LIMIT_S)
    for name, age in found.items():
        if isinstance(age, OneDRError):
            raise OneDRError(f"the snapshots of {name} cannot be read: {age}")
        ages[name] = age
    return NewestSnapshots(ages)


def _primaries(pool: Pool) -> list[str]:
    """Mirrored images that are written here."""
    return [name for name, role in mirroring.roles(pool).items() if role.primary]


def _dark(why: Unknown) -> ClusterFacts:
    return ClusterFacts(*[why] * len(ClusterFacts.__dataclass_fields__))


def _front_end_sources(datastore: Datastore) -> dict[str, Source]:
    return {
        "networks": lambda: collect_front_ends.networks(collect_front_ends.front_end()),
        "disk_drivers": lambda: collect_front_ends.disk_drivers(collect_front_ends.front_end()),
        "unknown_to_oned": lambda: enable.unknown_to_oned(collect_front_ends.front_end()),
        "key": collect_front_ends.own_key,
        "guarded": lambda: collect_front_ends.is_guarded(datastore),
        "clock_s": collect_front_ends.front_end_clock,
    }


def _with_targets(
    facts: CheckFacts, pool: Pool, peer_view: Known[PeerView], datastore_id: int
) -> CheckFacts:
    """What each site offers for the other's VMs."""
    images, fsid = facts.images, facts.here.fsid
    if isinstance(images, Unknown) or isinstance(fsid, Unknown):
        return facts
    own_site = signed_versions.site_name(pool, facts.settings)
    sources: dict[str, Source] = {
        "start_here": lambda: collect_front_ends.target(
            collect_front_ends.front_end(), facts.settings, pool, fsid, inventory.vms(images, fsid),
            own=True, mapping=collect_map.towards(facts.mapping, own_site), datastore_id=datastore_id),
    }
    there = facts.there.fsid
    if (
        not isinstance(peer_view, Unknown)
        and peer_view.settings is not None
        and not isinstance(there, Unknown)
    ):
        settings, view = peer_view.settings, peer_view
        sources["start_there"] = lambda: collect_front_ends.target(
            view.frontend, settings, pool, there, inventory.vms(images, fsid, own=True),
            own=False, mapping=collect_map.towards_other(facts.mapping, own_site),
            datastore_id=view.datastore_id)
    facts = replace(facts, **_known(sources))
    if "start_there" in sources:
        return facts
    if isinstance(peer_view, Unknown):
        return replace(facts, start_there=peer_view)
    if peer_view.settings is None:
        why = (
            "the peer's front-end has no protected datastore "
            f"{facts.settings.peer_datastore or facts.datastore} of this pool"
        )
        return replace(facts, start_there=Unknown(why))
    return replace(facts, start_there=cast(Unknown, there))


def probe(datastore: Datastore, report: Callable[[str], None]) -> ProbeEvent:
    """Run the probe (check.probe). Returns the result as an event. Raises OneDRError."""
    with connection.connect(datastore.access) as pool:
        result = check_probe.run_probe(pool, datastore.settings, report=report)
    if result.why:
        raise OneDRError(f"The probe ended early: {result.why}. Its images were removed.")
    return ProbeEvent(**{**asdict(result), "mode": result.mode.value})


def described(found: Iterable[Finding]) -> tuple[FindingShown, ...]:
    """Findings as part of an event."""
    return tuple(
        FindingShown(one.subject, one.code, one.level.value, one.text, one.todo) for one in found
    )


def bad_attributes(datastore: str, error: OneDRError) -> FindingShown:
    """The finding of a datastore with invalid attributes, which prevent all other checks."""
    return described(
        [Finding("ATTRIBUTES", Level.PROBLEM, str(error), f"onedatastore update {datastore}", datastore)]
    )[0]
