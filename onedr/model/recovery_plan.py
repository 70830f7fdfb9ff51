"""A recovery plan: in which order VMs start, and what lets the next ones begin (docs/plans.md). Pure.

A plan is one for both sites. It names VMs by what they are called, not by id, which each site gives anew.
"""
from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from onedr.model.errors import InputError
from onedr.model.json_form import Json
from onedr.model.text import closest

NONE = "none"  # instead of a plan's name: by DR_PRIORITY alone
NAME = re.compile("[a-z][a-z0-9-]{0,31}")  # of plans and groups
MOST_WITHIN_S = 3600


@dataclass(frozen=True)
class Gate:
    """What lets the next groups begin: the group's VMs run and, unless `port` is 0, accept connections; with
    `path` a web server there answers a GET of it with a status below 400.

    `within_s`: how long that may take; `stops`: the run stops then, instead of starting the next group.
    """

    port: int = 0
    within_s: int = 300
    stops: bool = False
    path: str = ""


@dataclass(frozen=True)
class Group:
    """VMs that start together. A VM belongs to the first group of the file that selects it.

    `vms`: names; `labels`: of LABELS; `groups`: of OpenNebula; `owners`: only their VMs, empty for all.
    `after`: names of groups; `depends`: by VM, others of the group that start before. `line`: in the file.
    """

    name: str
    vms: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    depends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gate: Gate | None = None
    delay_s: int = 0  # after the group, before the next
    line: int = 0

    def selects(self, name: str, labels: Iterable[str], group: str, owner: str) -> bool:
        """Is a VM of this name, with these labels, of this group and owner one of it?"""
        if self.owners and owner not in self.owners:
            return False
        return name in self.vms or group in self.groups or not set(self.labels).isdisjoint(labels)


@dataclass(frozen=True)
class RecoveryPlan:
    """Groups in the order of the file."""

    groups: tuple[Group, ...] = ()

    def waves(self) -> tuple[tuple[Group, ...], ...]:
        """Groups that begin together, first wave first: each comes after all that its `after` names.

        Raises InputError that names a cycle.
        """
        by_name = {group.name: group for group in self.groups}
        found = levels({group.name: group.after for group in self.groups})
        return tuple(tuple(by_name[name] for name in level) for level in found)

    def group_of(self, name: str, labels: Iterable[str], group: str, owner: str) -> Group | None:
        """The first group that selects a VM; None: it starts after all groups, by its DR_PRIORITY."""
        known = tuple(labels)
        return next((each for each in self.groups if each.selects(name, known, group, owner)), None)


@dataclass(frozen=True)
class Chosen:
    """The plan that a run goes by. `plan` None: by DR_PRIORITY alone. `doubt`: why the one that was named is
    not known or not used; then the run is held.
    """

    name: str = ""
    version: int = 0
    plan: RecoveryPlan | None = None
    doubt: str = ""

    @property
    def label(self) -> str:
        """For people, and to know it again; empty without a plan."""
        return f"{self.name}, version {self.version}" if self.plan is not None else ""


def levels(needs: Mapping[str, Iterable[str]]) -> tuple[tuple[str, ...], ...]:
    """Names in levels, those that need nothing first; in each, in the order in which they are given.

    What is needed and not a name itself counts as there. Raises InputError that names a cycle.
    """
    order = {name: number for number, name in enumerate(needs)}
    sorter = TopologicalSorter({name: [each for each in needs[name] if each in order] for name in needs})
    try:
        sorter.prepare()
    except CycleError as error:
        raise InputError(f"{' needs '.join(reversed(error.args[1]))}: none of them can be first") from None
    found = []
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready(), key=order.__getitem__))
        found.append(ready)
        sorter.done(*ready)
    return tuple(found)


def problems(plan: RecoveryPlan) -> list[tuple[int, str]]:
    """What is wrong between groups: line and sentence."""
    found = [*_twice(plan), *_after_unknown(plan)]
    for group in plan.groups:
        found += [(group.line, text) for text in _of_group(group)]
    if not found:
        try:
            plan.waves()
        except InputError as error:
            line = min(group.line for group in plan.groups)
            found.append((line, f"the groups wait for each other in a circle: {error}"))
    return sorted(found)


def _twice(plan: RecoveryPlan) -> Iterator[tuple[int, str]]:
    names: dict[str, int] = {}
    vms: dict[str, str] = {}
    for group in plan.groups:
        if group.name in names:
            yield group.line, f"group {group.name} is in line {names[group.name]} already"
        names.setdefault(group.name, group.line)
        for vm in group.vms:
            if vm in vms:
                yield group.line, f"VM {vm} is in group {vms[vm]} already; a VM starts once"
            vms.setdefault(vm, group.name)


def _after_unknown(plan: RecoveryPlan) -> Iterator[tuple[int, str]]:
    names = [group.name for group in plan.groups]
    for group in plan.groups:
        for name in group.after:
            if name not in names:
                yield group.line, f"after: there is no group {name}{closest(name, names).rstrip('.')}"


def _of_group(group: Group) -> Iterator[str]:
    if not (group.vms or group.labels or group.groups):
        yield f"group {group.name} selects no VM: write vms: [NAME], labels: [LABEL] or groups: [GROUP]"
    for vm, needed in group.depends.items():
        for name in dict.fromkeys((vm, *needed)):
            if name not in group.vms:
                yield f"depends: {name} is not in vms of group {group.name}; between groups, use after"
    try:
        levels(group.depends)
    except InputError as error:
        yield f"depends: VMs wait for each other in a circle: {error}"
    if group.gate is not None and group.gate.stops and (group.vms or group.labels) and not group.owners:
        yield (
            f"group {group.name} may stop a run, and any user may give his VM such a name or label: write "
            "whose VMs it selects, owners: [USER], or then: continue"
        )


def to_json(plan: RecoveryPlan) -> Json:
    """The plan as a JSON object."""
    return {"groups": [_group_to_json(group) for group in plan.groups]}


_WORDS = ("vms", "labels", "groups", "owners", "after")


def _group_to_json(group: Group) -> Json:
    gate = group.gate
    return {
        "name": group.name, "delay_s": group.delay_s, "line": group.line,
        **{word: list(getattr(group, word)) for word in _WORDS},
        "depends": {vm: list(needed) for vm, needed in group.depends.items()},
        "gate": None if gate is None else [gate.port, gate.within_s, gate.stops, gate.path],
    }


def from_json(data: Mapping[str, Any]) -> RecoveryPlan:
    """The plan from `to_json`. Raises KeyError, TypeError, ValueError, InputError for one with problems."""
    plan = RecoveryPlan(tuple(_group_from_json(each) for each in data["groups"]))
    trouble = problems(plan)
    if trouble:
        raise ValueError(trouble[0][1])
    return plan


def _group_from_json(data: Mapping[str, Any]) -> Group:
    gate = None
    if data["gate"] is not None:
        port, within_s, stops, path = data["gate"]
        gate = Gate(int(port), int(within_s), stops is True, str(path))
    words = {word: tuple(map(str, data[word])) for word in _WORDS}
    depends = {str(vm): tuple(map(str, needed)) for vm, needed in data["depends"].items()}
    return Group(
        str(data["name"]), **words, depends=depends, gate=gate, delay_s=int(data["delay_s"]),
        line=int(data["line"]),
    )
