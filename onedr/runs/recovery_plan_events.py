"""What `onedr recovery-plan` answers. Pure."""
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from onedr.model.json_form import nested
from onedr.runs.answer_events import MapVersion
from onedr.runs.events import Event


@dataclass(frozen=True)
class PlanShown:
    """A plan of a datastore. `doubt`: why no version of it is used; `chosen`: by DR_RECOVERY_PLAN."""

    name: str
    version: int
    at: float
    by: str
    site: str
    doubt: str = ""
    chosen: bool = False


@dataclass(frozen=True)
class GroupShown:
    """A group of a plan, or a priority after them, with the names of the VMs that start.

    `wave`: its number; groups of one wave begin together.
    """

    wave: int
    called: str
    vms: tuple[str, ...] = ()
    gate: str = ""


@dataclass(frozen=True)
class RecoveryPlanEvent(Event):
    """A plan of a datastore (docs/plans.md), its file as it was given; or, without a `name`, all `plans`.

    `version` 0: there is none. `groups` and `problems`: of a check only.
    """

    event: ClassVar[str] = "recovery_plan"
    datastore: str
    name: str = ""
    text: str = ""
    version: int = 0
    versions: tuple[MapVersion, ...] = nested(MapVersion, default=())
    warnings: tuple[str, ...] = ()
    written: bool = False
    plans: tuple[PlanShown, ...] = nested(PlanShown, default=())
    groups: tuple[GroupShown, ...] = nested(GroupShown, default=())
    problems: tuple[str, ...] = ()
