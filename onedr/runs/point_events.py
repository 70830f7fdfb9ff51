"""What `onedr points` answers. Pure."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onedr.model.json_form import nested
from onedr.runs.events import Event


@dataclass(frozen=True)
class PointShown:
    """A point in time of a VM. `stall_s`: how long writers waited at most; `complete`: every disk's copy has
    it; `lacking`: the disks whose copy has it not; `held`: bytes that Ceph keeps for it. None: not known.
    `locked`: the moment in UTC until which nothing takes it away; empty: no lock is in force.
    """

    name: str
    at: float
    age_s: float | None
    stall_s: float
    pin: str
    complete: bool | None
    lacking: tuple[str, ...]
    held: int | None
    locked: str = ""


@dataclass(frozen=True)
class PointsVm:
    """The points of a VM, oldest first. `here`: it is this site's own."""

    name: str
    vm: int
    site: str
    here: bool
    points: tuple[PointShown, ...] = nested(PointShown, default=())


@dataclass(frozen=True)
class PointsEvent(Event):
    """The points in time of a datastore's VMs (docs/points.md). `message`: why none are taken; `warnings`:
    what hindered the last ones.
    """

    event: ClassVar[str] = "points"
    datastore: str
    vms: tuple[PointsVm, ...] = nested(PointsVm, default=())
    message: str = ""
    warnings: tuple[str, ...] = ()
