"""Quotas of users and groups, and whether they admit what a run creates. Pure.

oned checks them when a VM or image is given to its owner, and when a VM starts (docs/opennebula-facts.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

_UNLIMITED, _DEFAULT = -2.0, -1.0
_ROOTS = {
    "VM": "VM_QUOTA/VM", "NETWORK": "NETWORK_QUOTA/NETWORK", "DATASTORE": "DATASTORE_QUOTA/DATASTORE",
    "IMAGE": "IMAGE_QUOTA/IMAGE",
}
_USED, _CLUSTERS = "_USED", "CLUSTER_IDS"
# What each VM counts; other metrics are attributes of VMs (QUOTA_VM_ATTRIBUTE of oned.conf).
_OF_EACH_VM = ("VMS", "CPU", "MEMORY", "SYSTEM_DISK_SIZE", "PCI_DEV", "PCI_NIC")
RUNNING = "RUNNING_"


class Key(NamedTuple):
    """What is limited: VM, NETWORK, DATASTORE or IMAGE, the id of all but the first, and the metric.

    CPU in cores, MEMORY and sizes in MiB.
    """

    kind: str
    object_id: str
    metric: str


class Usage(NamedTuple):
    """A limit and what of it is used."""

    limit: float
    used: float


Needs = Mapping[Key, float]


@dataclass(frozen=True)
class ClusterLimit:
    """A VM quota of some clusters. It counts once the scheduler has chosen a host of one of them."""

    clusters: frozenset[int]
    limits: Mapping[Key, Usage]

    def admits(self, cluster_id: int, needs: Needs) -> bool:
        """Would a VM with these needs be admitted in this cluster?"""
        return cluster_id not in self.clusters or all(
            usage.used + needs.get(key, 0.0) <= usage.limit for key, usage in self.limits.items()
        )


@dataclass(frozen=True)
class Quotas:
    """Limits of those users and groups that have any, by `user` or `group` and name; `clusters`: those of
    clusters.
    """

    limits: Mapping[tuple[str, str], Mapping[Key, Usage]] = field(default_factory=dict)
    clusters: Mapping[tuple[str, str], tuple[ClusterLimit, ...]] = field(default_factory=dict)

    @property
    def own_attributes(self) -> frozenset[str]:
        """Attributes of VMs that some limit counts (QUOTA_VM_ATTRIBUTE)."""
        every = [*self.limits.values(), *(each.limits for found in self.clusters.values() for each in found)]
        metrics = {key.metric for limits in every for key in limits if key.kind == "VM"}
        return frozenset(metric.replace(RUNNING, "", 1) for metric in metrics) - {*_OF_EACH_VM}


def read_quotas(users: etree._Element, groups: etree._Element) -> Quotas:
    """Of `<USER_POOL>` and `<GROUP_POOL>`. The pools show each one's quotas beside it, and the defaults."""
    limits, clusters = {}, {}
    for what, pool in (("user", users), ("group", groups)):
        names = {
            each.findtext("ID") or "": each.findtext("NAME") or "" for each in pool.iterfind(what.upper())
        }
        defaults = _limits(pool.find(f"DEFAULT_{what.upper()}_QUOTAS"))
        for element in pool.iterfind("QUOTAS"):
            name, own = names.get(element.findtext("ID") or "", ""), _limits(element)
            found = _effective(own, defaults)
            if not name or element.findtext("ID") == "0":  # oneadmin has no limits
                continue
            if found:
                limits[(what, name)] = found
            if of_clusters := tuple(_of_clusters(element)):
                clusters[(what, name)] = of_clusters
    return Quotas(limits, clusters)


def _limits(element: etree._Element | None) -> dict[Key, Usage]:
    found: dict[Key, Usage] = {}
    for kind, path in _ROOTS.items():
        for quota in element.iterfind(path) if element is not None else ():
            if not quota.findtext(_CLUSTERS):
                found.update(_of_quota(kind, quota))
    return found


def _of_clusters(element: etree._Element) -> Iterator[ClusterLimit]:
    for quota in element.iterfind(_ROOTS["VM"]):
        numbers = [each.strip() for each in (quota.findtext(_CLUSTERS) or "").split(",")]
        limits = {key: usage for key, usage in dict(_of_quota("VM", quota)).items() if usage.limit >= 0}
        if any(numbers) and limits:  # -1 is no limit there: defaults have no clusters
            yield ClusterLimit(frozenset(int(each) for each in numbers if each.isdecimal()), limits)


def _of_quota(kind: str, quota: etree._Element) -> Iterator[tuple[Key, Usage]]:
    """Every metric that oned shows: those of QUOTA_VM_ATTRIBUTE stand among its own."""
    for limit in quota:
        metric = str(limit.tag)
        if metric not in ("ID", _CLUSTERS) and not metric.endswith(_USED):
            used = _float(quota.findtext(f"{metric}{_USED}"), 0.0)
            yield Key(kind, quota.findtext("ID") or "", metric), Usage(_float(limit.text, _DEFAULT), used)


def _effective(own: Mapping[Key, Usage], defaults: Mapping[Key, Usage]) -> dict[Key, Usage]:
    """With the default where it is the limit; only what is limited."""
    found = {}
    for key in {**defaults, **own}:
        usage, default = own.get(key, Usage(_DEFAULT, 0.0)), defaults.get(key, Usage(_UNLIMITED, 0.0))
        limit = default.limit if usage.limit == _DEFAULT else usage.limit
        if limit >= 0:
            found[key] = Usage(limit, usage.used)
    return found


def _float(text: str | None, other: float) -> float:
    try:
        return float(text) if text else other
    except ValueError:
        return other


class Admission:
    """What quotas admit of several things that come one after the other; each that is admitted is counted."""

    def __init__(self, quotas: Quotas):
        self._limits, self._taken = quotas.limits, {}  # type: ignore[var-annotated]

    def refusal(self, needs: Iterable[tuple[str, str, Needs]]) -> str:
        """Why not: `needs` by `user` or `group` and name. Empty when all of it is admitted and counted."""
        wanted: dict[tuple[str, str, Key], float] = {}
        for what, name, each in needs:
            for key, amount in each.items():
                wanted[what, name, key] = wanted.get((what, name, key), 0.0) + amount
        for (what, name, key), amount in wanted.items():
            usage = self._limits.get((what, name), {}).get(key)
            if usage is None:
                continue
            used = usage.used + self._taken.get((what, name, key), 0.0)
            if used + amount > usage.limit:
                where = f" of {key.kind.lower()} {key.object_id}" if key.object_id else ""
                return (
                    f"the quota of {what} {name!r} here does not admit it: {key.metric}{where} is limited to "
                    f"{usage.limit:g}, {used:g} are used and it needs {amount:g}; raise it with one{what} "
                    f"quota {name}"
                )
        for place, amount in wanted.items():
            self._taken[place] = self._taken.get(place, 0.0) + amount
        return ""
