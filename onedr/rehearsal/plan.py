"""Which VMs of the peer a rehearsal creates, and what is known of the others already. Pure."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onedr.failover import failback_plan, placement, start_order
from onedr.failover.placement import Placement
from onedr.model.records import ImageFacts
from onedr.model.rehearsed import Rehearsed, Result
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication import inventory
from onedr.replication.inventory import VmItem


@dataclass(frozen=True)
class RehearsalFacts:
    """What the decision rests on. `here`: this cluster's id; the rest as in FailoverFacts."""

    here: str
    images: tuple[ImageFacts, ...]
    ground: Placement = field(default_factory=Placement)
    local: Mapping[str, PeerVm] = field(default_factory=dict)
    recovered: Mapping[str, Recovered] = field(default_factory=dict)


@dataclass(frozen=True)
class RehearsalPlan:
    """`create`: in the order in which a failover starts them; `settled`: by origin, what needs no trial."""

    create: tuple[VmItem, ...] = ()
    settled: Mapping[str, Rehearsed] = field(default_factory=dict)

    @property
    def origins(self) -> frozenset[str]:
        """Of all VMs of the peer that a failover here would bring."""
        return frozenset({item.origin for item in self.create} | self.settled.keys())


def plan_rehearsal(facts: RehearsalFacts, now: float) -> RehearsalPlan:
    """Every VM once: to create, or settled. A record in doubt creates nothing; what a failover would leave
    out is refused without a trial, in the failover's own words.
    """
    items = start_order.by_priority(inventory.standing_by(facts.images, facts.here))
    homes = failback_plan.homes(items, facts.local)
    settled: dict[str, Rehearsed] = {}

    def settle(item: VmItem, result: Result, why: str) -> None:
        settled[item.origin] = came_of(item, now, result, why)

    for item in items:
        there = homes.get(item.origin) or facts.recovered.get(item.origin)
        if there is not None:
            settle(item, Result.RETURNS, f"nothing is created: it is VM {there.vm_id} of this site")
        elif item.blockers:
            settle(item, Result.NOT_TRIED, "; ".join(item.blockers))
    fresh = [item for item in items if item.origin not in settled]
    blocked = placement.place(fresh, facts.ground).blockers
    for item in fresh:
        if item.origin in blocked:
            settle(item, Result.REFUSED, blocked[item.origin])
    return RehearsalPlan(tuple(item for item in fresh if item.origin not in blocked), settled)


def came_of(
    item: VmItem, now: float, result: Result, why: str = "", differences: tuple[str, ...] = (),
    seconds: float = 0.0,
) -> Rehearsed:
    """What came of a VM, at `now`."""
    return Rehearsed(
        item.origin, item.record.name, item.record.vm_id, item.envelope.site, now, result, why, differences,
        round(seconds, 3),
    )
