"""What makes oned list the snapshots that an RBD image has. Pure.

No call of oned takes a list: it lists what it makes, counts from 0 and never backwards, and hangs a new
snapshot under the last one that was reverted to (docs/opennebula-facts.md O34). So the same actions are done
again in the same order, and the drivers leave the image alone (ceph.snapshot_marks).
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from onedr.model import template
from onedr.model.template import Pairs

_MOST = 400  # actions for one disk: a tree whose numbers are far apart is not worth the time


@dataclass(frozen=True)
class Snapshot:
    """One snapshot of a list. `parent` -1: none. `recorded`: whether name and parent are known."""

    name: str
    parent: int = -1
    recorded: bool = True


@dataclass(frozen=True)
class SnapshotList:
    """A list as oned has it. `base`: reverted to last, -1 for none; `following`: the next number."""

    snapshots: Mapping[int, Snapshot] = field(default_factory=dict)
    base: int = -1
    following: int = 0


class Action(NamedTuple):
    """`verb`: create (a snapshot called `name`, which gets this number), delete, revert or rename."""

    verb: str
    snapshot: int
    name: str = ""


@dataclass(frozen=True)
class ListPlan:
    """Actions in order; `unlisted`: snapshots of the image that cannot be listed here, and `left`: some that
    are listed and do not exist.
    """

    actions: tuple[Action, ...]
    unlisted: tuple[int, ...] = ()
    left: tuple[int, ...] = ()


def read_list(pairs: Pairs) -> SnapshotList:
    """A SNAPSHOTS element of oned, or of a record: numbers that cannot be read count as none."""
    found = {
        _number(template.get(each, "ID")): Snapshot(
            template.get(each, "NAME"), _number(template.get(each, "PARENT"))
        )
        for each in template.vectors(pairs, "SNAPSHOT")
    }
    found.pop(-1, None)
    active = next(
        (_number(template.get(each, "ID")) for each in template.vectors(pairs, "SNAPSHOT")
         if template.get(each, "ACTIVE") == "YES"), -1
    )
    base = _number(template.get(pairs, "CURRENT_BASE"))
    following = max(_number(template.get(pairs, "NEXT_SNAPSHOT")), 0)
    return SnapshotList(found, base if base != -1 else active, following)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1


def of_disk(trees: Pairs, disk_id: int) -> SnapshotList:
    """The list of one disk among the SNAPSHOTS of a VM's record."""
    for _, tree in trees:
        if not isinstance(tree, str) and template.get(tree, "DISK_ID") == str(disk_id):
            return read_list(tree)
    return SnapshotList()


def wanted(recorded: SnapshotList, existing: Collection[int]) -> SnapshotList:
    """The list as it should be: what the image has, by name and place as recorded."""
    snapshots = {
        number: recorded.snapshots.get(number, Snapshot(_stand_in(number), recorded=False))
        for number in sorted(existing)
    }
    base = recorded.base if recorded.base in snapshots else -1
    return SnapshotList(snapshots, base, max([recorded.following, *(number + 1 for number in existing)]))


def _stand_in(number: int) -> str:
    return f"snapshot-{number}"


def plan_list(listed: SnapshotList, aim: SnapshotList) -> ListPlan:
    """From the list that oned has to the one that it should have."""
    if not aim.snapshots and not listed.snapshots:
        return ListPlan(())
    missing = [number for number in aim.snapshots if number not in listed.snapshots]
    unlisted = tuple(number for number in missing if number < listed.following)
    last = max([number for number in missing if number >= listed.following], default=-1) + 1
    count = max(last, aim.following) - listed.following
    if 2 * count > _MOST:
        return ListPlan((), tuple(missing), ())
    actions, base = _created(listed, aim)
    if aim.base != -1 and aim.base != base and aim.base not in unlisted:
        actions.append(Action("revert", aim.base))
        base = aim.base
    gone, left = _deleted(listed, aim, base)
    renamed = [
        Action("rename", number, snapshot.name)
        for number, snapshot in aim.snapshots.items()
        if number in listed.snapshots and snapshot.recorded and snapshot.name
        and snapshot.name != listed.snapshots[number].name
    ]
    return ListPlan((*actions, *gone, *renamed), unlisted, left)


def _created(listed: SnapshotList, aim: SnapshotList) -> tuple[list[Action], int]:
    """What is missing at the end, number by number; a number that is in no list is made and deleted."""
    actions: list[Action] = []
    base = listed.base
    for number in range(listed.following, aim.following):
        snapshot = aim.snapshots.get(number)
        if snapshot is not None and snapshot.parent in aim.snapshots and snapshot.parent != base:
            base = snapshot.parent
            actions.append(Action("revert", base))
        actions.append(Action("create", number, snapshot.name if snapshot else _stand_in(number)))
        if snapshot is None:
            actions.append(Action("delete", number))
    return actions, base


def _deleted(
    listed: SnapshotList, aim: SnapshotList, base: int
) -> tuple[list[Action], tuple[int, ...]]:
    """What is listed and does not exist: children first; the last one reverted to cannot be deleted."""
    parents = {number: each.parent for number, each in {**aim.snapshots, **listed.snapshots}.items()}
    actions: list[Action] = []
    left: list[int] = []
    for number in sorted(listed.snapshots.keys() - aim.snapshots.keys(), reverse=True):
        if number == base or number in parents.values():
            left.append(number)
            continue
        del parents[number]
        actions.append(Action("delete", number))
    return actions, tuple(sorted(left))


def differences(found: SnapshotList, aim: SnapshotList) -> str:
    """What of a list is not as it should be, for people; empty for none."""
    wanted, listed = aim.snapshots.keys(), found.snapshots.keys()
    texts = [
        *(f"snapshot {number} is not listed" for number in sorted(wanted - listed)),
        *(f"snapshot {number} is listed and does not exist" for number in sorted(listed - wanted)),
    ]
    for number in sorted(wanted & listed):
        there, here = aim.snapshots[number], found.snapshots[number]
        if not there.recorded:
            continue
        if here.name != there.name:
            texts.append(f"snapshot {number} is called {here.name!r}, not {there.name!r}")
        if here.parent != there.parent and there.parent in {-1, *aim.snapshots}:
            texts.append(f"snapshot {number} hangs under {here.parent}, not {there.parent}")
    if found.base != aim.base and aim.base != -1:
        texts.append(f"the last one reverted to is {found.base}, not {aim.base}")
    return "; ".join(texts)


def follow(found: SnapshotList, actions: Iterable[Action]) -> SnapshotList:
    """The list after these actions, by oned's own rules (ALLOW_ORPHANS=mixed)."""
    for action in actions:
        snapshots = dict(found.snapshots)
        if action.verb == "create":
            snapshots[found.following] = Snapshot(action.name, found.base)
            found = replace(found, snapshots=snapshots, following=found.following + 1)
        elif action.verb == "delete":
            del snapshots[action.snapshot]
            found = replace(found, snapshots=snapshots)
        elif action.verb == "revert":
            found = replace(found, base=action.snapshot)
        else:
            snapshots[action.snapshot] = replace(snapshots[action.snapshot], name=action.name)
            found = replace(found, snapshots=snapshots)
    return found
