"""SCHED_ACTION of the other site's VM as it is asked for here. Pure.

The forms are those of oned (ScheduledAction.cc, ScheduledActionManager.cc; docs/opennebula-facts.md O38).
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onedr.model import parsing, template
from onedr.model.template import Pairs

_MADE = ("ID", "DONE", "MESSAGE", "PARENT_ID")  # by oned
_TIMES = "1"  # END_TYPE: END_VALUE counts what is left
_OF_A_DISK = ("disk-snapshot-create", "disk-snapshot-revert", "disk-snapshot-delete")
_OF_ONE_SITE = {  # their ARGS name an object that is not here
    "backup": "its backup datastore is an object of one site",
    "snapshot-revert": "its system snapshot is a file of the hypervisor's host",
    "snapshot-delete": "its system snapshot is a file of the hypervisor's host",
}


def to_come(action: Pairs, disks: Mapping[str, str], warnings: list[str]) -> list[tuple[str, object]]:
    """The action, unless it is over. `disks`: numbers here by DISK_ID there. What is left out is added to
    `warnings`.
    """
    if _is_over(action):
        return []
    name, args = template.get(action, "ACTION"), template.get(action, "ARGS")
    why = _OF_ONE_SITE.get(name, "")
    if name in _OF_A_DISK:
        disk, comma, rest = args.partition(",")
        why = "" if disk.strip() in disks else f"its disk {disk.strip()} is not here"
        args = f"{disks.get(disk.strip(), '')}{comma}{rest}"
    if why:
        warnings.append(f"SCHED_ACTION {name} is left out: {why}")
        return []
    made = _MADE if _number(action, "WARNING") > 0 else (*_MADE, "WARNING")
    kept = template.without(action, *made)
    return [("SCHED_ACTION", tuple((key, args if key == "ARGS" else text) for key, text in kept))]


@dataclass(frozen=True)
class Changes:
    """Ids of actions to take off a VM here, and those to add."""

    delete: tuple[int, ...] = ()
    add: tuple[Pairs, ...] = ()


def changes(own: Pairs, there: Pairs, disks: Mapping[str, str]) -> Changes:
    """What a VM here needs to have the scheduled actions of the other site, where it was changed or had them
    carried out meanwhile. `disks`: DISK_IDs here by those there.

    What never went to the other site (`_OF_ONE_SITE`, a disk that is not there) stays as it is.
    """
    wanted: list[Pairs] = []
    for each in template.vectors(there, "SCHED_ACTION"):
        wanted += template.vectors(tuple(to_come(each, disks, [])), "SCHED_ACTION")
    delete = []
    for mine in template.vectors(own, "SCHED_ACTION"):
        if _is_over(mine) or not _went_there(mine, disks):
            continue
        same = next((each for each in wanted if _meaning(each) == _meaning(mine)), None)
        if same is None:
            delete.append(_number(mine, "ID"))
        else:
            wanted.remove(same)
    return Changes(tuple(delete), tuple(wanted))


def _went_there(action: Pairs, disks: Mapping[str, str]) -> bool:
    name = template.get(action, "ACTION")
    of_disk = template.get(action, "ARGS").partition(",")[0].strip() if name in _OF_A_DISK else None
    return name not in _OF_ONE_SITE and (of_disk is None or of_disk in disks.values())


def _meaning(action: Pairs) -> list[tuple[str, object]]:
    """An action without what oned makes, and what is not set."""
    said = template.without(action, *_MADE, "WARNING", "TYPE")
    return sorted(pair for pair in said if pair[1] not in ("", "-1"))


def _is_over(action: Pairs) -> bool:
    """As oned sees it: of one that repeats, DONE is its last time and TIME the next."""
    if template.get(action, "END_TYPE") == _TIMES and _number(action, "END_VALUE") <= 0:
        return True
    done = _number(action, "DONE")
    return done > 0 and done >= _number(action, "TIME")


def _number(action: Pairs, key: str) -> int:
    return parsing.plain_number(template.get(action, key)) or 0


def postponed(pairs: Pairs, until: int) -> Pairs:
    """A template with its scheduled actions at `until` (epoch seconds), unless they are later anyway."""
    return tuple(
        (key, _later(value, until)) if key == "SCHED_ACTION" and not isinstance(value, str) else (key, value)
        for key, value in pairs
    )


def _later(action: Pairs, until: int) -> Pairs:
    if _number(action, "TIME") >= until:
        return action
    return tuple(
        (key, str(until) if key == "TIME" else text) for key, text in action if key != "WARNING"
    )
