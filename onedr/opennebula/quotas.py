"""Quotas of users and groups, and whether they admit what a run creates. Pure.

oned checks them when a VM or image is given to its owner, and when a VM starts (docs/opennebula-facts.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

_UNLIMITED, _DEFAULT = -2.0, -1.0
_ROOTS = {"VM": "VM_QUOTA/VM", "NETWORK": "NETWORK_QUOTA/NETWORK", "DATASTORE": "DATASTORE_QUOTA/DATASTORE"}
RUNNING = ("RUNNING_VMS", "RUNNING_CPU", "RUNNING_MEMORY")
_METRICS = {
    "VM": ("VMS", "CPU", "MEMORY", "SYSTEM_DISK_SIZE", *RUNNING),
    "NETWORK": ("LEASES",),
    "DATASTORE": ("IMAGES", "SIZE"),
}


class Key(NamedTuple):
    """What is limited: VM, NETWORK or DATASTORE, the id of network or datastore, and the metric.

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
class Quotas:
    """Limits of those users and groups that have any, by `user` or `group` and name."""

    limits: Mapping[tuple[str, str], Mapping[Key, Usage]] = field(default_factory=dict)


def read_quotas(users: etree._Element, groups: etree._Element) -> Quotas:
    """Of `<USER_POOL>` and `<GROUP_POOL>`. The pools show each one's quotas beside it, and the defaults."""
    limits = {}
    for what, pool in (("user", users), ("group", groups)):
        names = {
            each.findtext("ID") or "": each.findtext("NAME") or "" for each in pool.iterfind(what.upper())
        }
        defaults = _limits(pool.find(f"DEFAULT_{what.upper()}_QUOTAS"))
        for element in pool.iterfind("QUOTAS"):
            name, own = names.get(element.findtext("ID") or "", ""), _limits(element)
            found = _effective(own, defaults)
            if name and found and element.findtext("ID") != "0":  # oneadmin has no limits
                limits[(what, name)] = found
    return Quotas(limits)


def _limits(element: etree._Element | None) -> dict[Key, Usage]:
    found = {}
    for kind, path in _ROOTS.items():
        for quota in element.iterfind(path) if element is not None else ():
            if quota.findtext("CLUSTER_IDS"):
                continue  # of a cluster: oned checks it when the scheduler has chosen a host
            for metric in _METRICS[kind]:
                limit, used = (
                    _float(quota.findtext(metric), _DEFAULT),
                    _float(quota.findtext(f"{metric}_USED"), 0.0),
                )
                found[Key(kind, quota.findtext("ID") or "", metric)] = Usage(limit, used)
    return found


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
