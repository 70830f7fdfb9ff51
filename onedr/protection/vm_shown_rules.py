"""What DR_STATE and DR_RECOVERY_POINT of a VM say, and whose turn it is to be written. Pure.

They are a display: nothing is decided by them. Each update makes oned run a hook, so only what a person would
notice is written, and so much of it in a minute.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from lxml import etree

from onedr.model import names, template
from onedr.model.records import DiskRef
from onedr.model.settings import wants_protection
from onedr.model.template import Pairs
from onedr.model.types import Settings, State
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.own_marks import VM_SHOWN
from onedr.runs.state import ImageState, judge_state

STATE, POINT = VM_SHOWN
PER_MINUTE, AT_ONCE = 50, 10  # VMs: at most their sum in any minute


class VmDisks(NamedTuple):
    """A VM of this site, the datastore whose keeper shows it (the first protected one that its disks use;
    -1: none), and the names there of what it reads and writes.
    """

    vm_id: int
    datastore_id: int
    names: frozenset[str]


class Shown(NamedTuple):
    """`point`: recovery point of the VM, epoch seconds; None when unknown, or when there is none."""

    state: State
    point: float | None = None


def disks_of(vm: etree._Element, protected: Collection[int]) -> VmDisks:
    """Of a `<VM>`. `protected`: ids of all protected datastores. Raises InputError."""
    disks, vm_id = opennebula_objects.vm_disks(vm, protected), int(vm.findtext("ID") or "-1")
    used = [disk.datastore_id for disk in disks if disk.datastore_id in protected]
    home, waits = used[0] if used else -1, opennebula_objects.vm_state(vm) in opennebula_objects.WAITING
    own = [disk for disk in disks if disk.datastore_id == home]
    return VmDisks(vm_id, home, frozenset(_names(vm_id, own, waits)))


def _names(vm_id: int, disks: Iterable[DiskRef], waits: bool) -> Iterable[str]:
    for disk in disks:
        name = (disk.rbd or "").rpartition("/")[2]
        yield name or f"disk {disk.disk_id} of VM {vm_id}"  # as protection.unprotected names it
        if disk.clone and waits:
            yield names.base_of(name, vm_id, disk.disk_id)


def shown(
    settings: Settings, user: Pairs, items: Sequence[ImageState], points: Sequence[float | None],
    unseen: bool = False, paused: bool = False,
) -> Shown:
    """What a VM's attributes should say. `user`: its own attributes; `items`, `points`: of its disks;
    `unseen`: as of judge_state.
    """
    if not wants_protection(settings, user) or not any(item.mirrored for item in items):
        return Shown(State.UNPROTECTED)
    state = judge_state(True, items, settings.rpo_s, "", False, unseen=unseen, paused=paused).state
    known = [point for point in points if point is not None]
    is_known = known and len(known) == len(items)  # an item without a copy has no point
    return Shown(state, min(known) if is_known else None)


def differs(user: Pairs, wanted: Shown) -> bool:
    """Would a person notice? The recovery point moves on all the time: that it went late, or came back, is a
    change of state.
    """
    first_point = wanted.point is not None and not template.get(user, POINT)
    return template.get(user, STATE) != wanted.state.value or first_point


def in_line(waiting: Sequence[int], differing: Collection[int]) -> tuple[int, ...]:
    """Ids of the VMs to be written, who waits longest first."""
    still = [vm_id for vm_id in waiting if vm_id in differing]
    return (*still, *sorted(set(differing) - set(still)))


def allowance(before: float, passed_s: float) -> float:
    """How many VMs may be written now. A process begins with 0, so that one after the other writes no more
    than one.
    """
    return min(float(AT_ONCE), before + max(0.0, passed_s) * PER_MINUTE / 60)
