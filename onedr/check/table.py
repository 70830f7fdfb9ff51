"""The checks of `onedr check` as a table, and its evaluation. Pure. docs/checks.md is generated from the
table.

An unknown fact that a check needs makes it a warning (or what `unknown` says), never ok.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onedr.check import (
    rules_cluster,
    rules_datastore,
    rules_fidelity,
    rules_front_end,
    rules_line,
    rules_map,
    rules_rehearsal,
    rules_vms,
)
from onedr.check.facts import CheckFacts, CheckResult, Finding, Level, SiteFacts, Unknown


@dataclass(frozen=True)
class Check:
    """What is looked at, facts it cannot do without (paths below Facts), what it says of them,
    and how bad it is not to know.
    """

    what: str
    needs: tuple[str, ...]
    judge: Callable[[Any], Iterator[CheckResult]]
    unknown: Level = Level.WARNING
    todo: str = ""  # to type when something is unknown
    partial: bool = False  # it evaluates the known facts, and reports the unknown ones itself


SITE: Mapping[str, Check] = {
    "ONED": Check(
        "oned answers", ("oned",), rules_front_end.oned, Level.PROBLEM, "systemctl start opennebula"
    ),
    "CONFIGURATION": Check(
        "`onedr.conf` can be read and is valid",
        ("configuration",),
        rules_front_end.configuration,
        Level.PROBLEM,
        "docs/configuration.md",
    ),
    "RECORD_KEY": Check(
        "the record key exists, with mode 0600",
        ("key",),
        rules_front_end.record_key,
        Level.PROBLEM,
        "docs/records.md",
    ),
    "PEER_FRONT_END": Check(
        "the peer's front-end is configured and answers",
        ("peer_front_end",),
        rules_front_end.peer_front_end,
        todo="check that oned runs there, and the link",
    ),
    "FENCE": Check(
        "there is a fence command, which can be run", ("fence_command",), rules_front_end.fence_command
    ),
    "HOOKS": Check("oned has OneDR's hooks", ("hooks",), rules_front_end.hooks),
    "RESTRICTED": Check(
        "oned restricts OneDR's own marks (VM_RESTRICTED_ATTR, IMAGE_RESTRICTED_ATTR)",
        ("unrestricted",),
        rules_front_end.restricted,
    ),
    "GUARD_UNIT": Check(
        "OpenNebula starts only after the boot guard", ("guard_unit",), rules_front_end.guard_unit
    ),
    "SUNSTONE": Check(
        "OneDR's page in Sunstone, if it was put in, is whole", ("sunstone",), rules_front_end.sunstone
    ),
    "DATASTORES": Check("which datastores are protected", ("datastores",), rules_front_end.datastores),
}

ATTRIBUTES = (
    "the datastore's DR_ attributes are valid; reported only when they are not, and then without other checks"
)

DATASTORE: Mapping[str, Check] = {
    "CEPH": Check("this site's Ceph answers", ("here.fsid",), rules_cluster.ceph, Level.PROBLEM, "ceph -s"),
    "PEER": Check("the peer's Ceph answers", ("peer",), rules_cluster.peer),
    "PEER_READ": Check("the peer's images can be read from here", ("readable",), rules_cluster.readable),
    "PEERING": Check(
        "both pools mirror per image, in both directions",
        ("here.peering", "there.peering"),
        rules_cluster.peering,
        partial=True,
    ),
    "RBD_MIRROR": Check(
        "rbd-mirror runs at both sites and reports",
        ("here.mirrors", "there.mirrors"),
        rules_cluster.mirrors,
        partial=True,
    ),
    "RELEASES": Check(
        "one release of Ceph at both sites",
        ("here.releases", "there.releases"),
        rules_cluster.releases,
        partial=True,
    ),
    "POOL_SIZE": Check(
        "replicas of the pool at both sites",
        ("here.replicas", "there.replicas"),
        rules_cluster.replicas,
        partial=True,
    ),
    "ROOM": Check(
        "space for journals and missing copies, no OSD nearly full",
        ("here.space", "there.space", "images"),
        rules_cluster.space,
        partial=True,
    ),
    "DATA_POOL": Check(
        "the datastore's EC_POOL_NAME exists at both sites",
        ("here.pools", "there.pools"),
        rules_cluster.data_pool,
    ),
    "NAMESPACES": Check(
        "no images lie in RBD namespaces of the pool",
        ("here.namespaces", "there.namespaces"),
        rules_cluster.namespaces,
    ),
    "LINE": Check(
        "what the other site's rbd-mirror reads is encrypted on the line (msgr2 secure), or not",
        ("here.line_mode", "there.line_mode"),
        rules_line.line,
        partial=True,
    ),
    "CIPHERS": Check(
        "each site's Ceph can read the keys of the other one's",
        ("here.ciphers", "there.ciphers", "here.releases", "there.releases"),
        rules_line.ciphers,
    ),
    "CLOCK": Check(
        "the sites' clocks agree",
        ("clock_s",),
        rules_cluster.clock,
        todo="chronyc tracking, at both sites",
    ),
    "RPO": Check(
        "the options of rbd-mirror that determine how far copies lag, and for how long a deletion can be "
        "undone",
        ("here.settings", "there.settings"),
        rules_cluster.objective,
        partial=True,
    ),
    "STATE": Check(
        "the datastore's state: copies, their age, split-brain, a returned site",
        ("verdict",),
        rules_datastore.state,
        Level.PROBLEM,
    ),
    "UNPROTECTED": Check(
        "everything that should be mirrored is mirrored, or why not; records are valid; no clone is "
        "mirrored in snapshot mode",
        ("unprotected", "images"),
        rules_datastore.unprotected,
    ),
    "COPY_WINDOW": Check(
        "what DR_COPY_WINDOW costs, and what waits for it",
        ("unprotected",),
        rules_datastore.copy_window,
    ),
    "MODE": Check(
        "images are mirrored in the datastore's mode, which is the same at both sites",
        ("images",),
        rules_datastore.mode,
    ),
    "SCHEDULES": Check(
        "snapshot mode: images that are primary here have a schedule",
        ("images", "schedules"),
        rules_datastore.schedules,
        todo="ceph health detail; ceph mgr module ls (rbd_support)",
    ),
    "SNAPSHOTS_TAKEN": Check(
        "snapshot mode: mirror snapshots are taken when they are due, by Ceph's manager or else the keeper",
        ("images", "newest_snapshots"),
        rules_datastore.snapshots_taken,
    ),
    "SNAPSHOTS_KEPT": Check(
        "snapshot mode: Ceph keeps enough mirror snapshots",
        ("snapshots_kept",),
        rules_datastore.snapshots_kept,
    ),
    "POINTS": Check("points in time: DR_POINT_EVERY fits DR_MODE", (), rules_datastore.points),
    "TRADE": Check(
        "what DR_MODE and DR_CLONES mean on this release, according to the last probe",
        ("probe_results", "here.releases", "there.releases"),
        rules_datastore.trade,
    ),
    "DISK_DRIVER": Check(
        "journal mode: no host opens disks with kernel RBD",
        ("disk_drivers",),
        rules_datastore.disk_driver,
    ),
    "SITE_INDEX": Check(
        "the sites have different DR_SITE_INDEX", ("there.site_info",), rules_datastore.site_index
    ),
    "GROUPS": Check(
        "no mirrored image is a member of an RBD group that OneDR did not make",
        ("images", "groups"),
        rules_line.groups,
    ),
    "LOCKS": Check(
        "no image that is primary here is locked by `rbd lock add`", ("locks",), rules_line.locks
    ),
    "NAMES": Check("no name is used at both sites for different images", ("clashes",), rules_datastore.names),
    "RECORD_KEYS": Check(
        "both sites have the same record key", ("key", "there.site_info"), rules_datastore.record_keys
    ),
    "NETWORK_MAP": Check(
        "the networks in DR_NETWORK_MAP and DR_DRILL_NETWORK exist here",
        ("networks",),
        rules_datastore.network_map,
    ),
    "MAPPING": Check(
        "what the mapping names exists at both sites, its addresses lie in ranges, both pools have it "
        "(docs/mapping.md)",
        ("mapping",),
        rules_map.mapping,
        Level.PROBLEM,
        todo="onedr map",
    ),
    "RECOVERY_PLAN": Check(
        "the plan that DR_RECOVERY_PLAN names is there and to be trusted (docs/plans.md)",
        ("recovery",),
        rules_datastore.recovery_plan,
        Level.PROBLEM,
        todo="onedr recovery-plan show",
    ),
    "UNMAPPED_HERE": Check(
        "what the peer's VMs use (networks, security groups, VM groups, and what requirements name) has a "
        "counterpart here",
        ("images", "here.fsid", "start_here"),
        rules_map.unmapped_here,
    ),
    "UNMAPPED_THERE": Check(
        "what our VMs use has a counterpart at the peer",
        ("images", "here.fsid", "start_there"),
        rules_map.unmapped_there,
        todo="run onedr check at the peer",
    ),
    "RULES_HERE": Check(
        "access rules that owners of the peer's VMs have there exist here",
        ("images", "here.fsid", "start_here", "start_there"),
        rules_map.rules_here,
    ),
    "RULES_THERE": Check(
        "access rules that owners of our VMs have here exist at the peer",
        ("images", "here.fsid", "start_here", "start_there"),
        rules_map.rules_there,
    ),
    "DRIVERS": Check("the running oned knows ceph_dr", ("unknown_to_oned",), rules_datastore.oned_lists),
    "GUARD": Check("the guard knows the datastore", ("guarded",), rules_datastore.guarded),
    "STARTS_HERE": Check(
        "each VM of the peer would start here: copies, networks, addresses, quotas, kernels, failback",
        ("images", "here.fsid", "start_here"),
        rules_vms.start_here,
    ),
    "REHEARSAL": Check(
        "each VM of the peer was created here lately, on hold, and is as it was",
        ("images", "here.fsid", "rehearsals"),
        rules_rehearsal.rehearsal,
    ),
    "STARTS_THERE": Check(
        "each VM of this site would start at the peer: networks, addresses, quotas, kernels",
        ("images", "here.fsid", "start_there"),
        rules_vms.start_there,
        todo="run onedr check at the peer",
    ),
    "FIDELITY_HERE": Check(
        "each VM of the peer would be here as it is there: what is left out or different, by VM",
        ("images", "here.fsid", "start_here"),
        rules_fidelity.attributes_here,
    ),
    "FIDELITY_THERE": Check(
        "each VM of this site would be at the peer as it is: what is left out or different, by VM",
        ("images", "here.fsid", "start_there"),
        rules_fidelity.attributes_there,
        todo="run onedr check at the peer",
    ),
    "SNAPSHOTS_HERE": Check(
        "snapshots of the disks of the peer's VMs: the copies have them, oned here can list them",
        ("images", "here.fsid", "start_here"),
        rules_fidelity.snapshots_here,
    ),
    "SNAPSHOTS_THERE": Check(
        "snapshots of the disks of our VMs: oned at the peer can list them",
        ("images", "here.fsid", "start_there"),
        rules_fidelity.snapshots_there,
        todo="run onedr check at the peer",
    ),
    "FILES_HERE": Check(
        "files of the context of the peer's VMs are images here",
        ("images", "here.fsid", "start_here"),
        rules_fidelity.files_here,
    ),
    "FILES_THERE": Check(
        "files of the context of our VMs are images at the peer",
        ("images", "here.fsid", "start_there"),
        rules_fidelity.files_there,
        todo="run onedr check at the peer",
    ),
    "OWNERS_HERE": Check(
        "the users and groups of the peer's VMs, as the mapping calls them, exist here",
        ("images", "here.fsid", "start_here"),
        rules_vms.owners,
    ),
    "OWNERS_THERE": Check(
        "the users and groups of our VMs exist at the peer",
        ("images", "here.fsid", "start_there"),
        rules_vms.owners_there,
        todo="run onedr check at the peer",
    ),
    "CAPACITY_HERE": Check(
        "hosts here have capacity for the peer's VMs",
        ("images", "here.fsid", "start_here"),
        rules_vms.capacity,
    ),
    "CAPACITY_THERE": Check(
        "hosts at the peer have capacity for ours",
        ("images", "here.fsid", "start_there"),
        rules_vms.capacity_there,
        todo="run onedr check at the peer",
    ),
    "IMAGE_NAMES": Check(
        "the names of the peer's images are not in use here", ("images", "start_here"), rules_vms.image_names
    ),
    "PROCESSORS": Check(
        "hosts here have the CPU models and machine types that the peer's VMs require",
        ("images", "here.fsid", "start_here"),
        rules_vms.processors,
    ),
    "FAILBACK": Check(
        "a planned move and a failback are possible: both front-ends answer",
        ("start_there",),
        rules_vms.failback,
        todo="docs/configuration.md: peer.endpoint and peer.auth",
    ),
}


def site_findings(facts: SiteFacts) -> list[Finding]:
    """The findings about the whole site."""
    return list(_judged(SITE, facts, ""))


def findings(facts: CheckFacts) -> list[Finding]:
    """The findings about one datastore, at least one for each code."""
    return list(_judged(DATASTORE, facts, facts.datastore))


def _judged(table: Mapping[str, Check], facts: CheckFacts | SiteFacts, subject: str) -> Iterator[Finding]:
    for code, check in table.items():
        unknown = () if check.partial else _unknown(facts, check.needs)
        results = [CheckResult(check.unknown, f"unknown: {reason}", check.todo) for reason in unknown]
        if not results:
            results = list(check.judge(facts))
        for each in results:
            yield Finding(code, each.level, each.text, each.todo, subject)


def _unknown(facts: CheckFacts | SiteFacts, needs: tuple[str, ...]) -> Iterator[str]:
    """Why needed facts are unknown, each reason once."""
    reasons: set[str] = set()
    for need in needs:
        value: Any = facts
        for name in need.split("."):
            value = getattr(value, name)
        if isinstance(value, Unknown) and value.reason not in reasons:
            reasons.add(value.reason)
            yield value.reason


def worst(found: list[Finding]) -> Level:
    """The most severe level."""
    levels = {finding.level for finding in found}
    return next((level for level in (Level.PROBLEM, Level.WARNING) if level in levels), Level.OK)
