"""Locks of VMs: those of our runs, marked as such, and those that a user or an admin set. Pure.

oned knows three levels (SharedAPI::lock): 1 use, 2 manage, 3 admin; `--all` is shown as 1.
"""
from __future__ import annotations

from lxml import etree

from onedr.model import template
from onedr.model.template import Pairs
from onedr.model.types import State
from onedr.opennebula.own_marks import VM_SHOWN

# on a VM at the site it moved away from: the state it had; it is locked there
LOCKED_STATE, OLD_LOCKED_STATE = "DR_LOCKED_STATE", "DR_HELD"  # the second: of earlier releases, read only
# on such a VM, and on one that is still to be started: the level of the lock that is put on it then
USER_LOCK = "DR_USER_LOCK"
RECORDED = "ONEDR_LOCK"  # in a record's template: the level of the user's lock, 0 for none
_LEVELS = ("1", "2", "3")


def locked_state(user: Pairs) -> str:
    """The state in which a run of ours found the VM that it locked; empty for a VM that is free."""
    return template.get(user, LOCKED_STATE) or template.get(user, OLD_LOCKED_STATE)


def user_lock(user: Pairs) -> int:
    """Level of the lock that the VM had before ours, or is to have once it runs, 1 to 3; 0 for none."""
    level = template.get(user, USER_LOCK)
    return int(level) if level in _LEVELS else 0


def stands_by(user: Pairs) -> Pairs:
    """What a VM shows whose disks are written at the other site. It is locked, and then takes no attributes.
    """
    state, point = VM_SHOWN
    return ((state, State.STANDBY.value), *(((point, ""),) if template.get(user, point) else ()))


def unlocked(user: Pairs) -> Pairs:
    """What takes these marks off, whichever release set them, and what `stands_by` showed."""
    state, _ = VM_SHOWN
    shown = (state,) if template.get(user, state) == State.STANDBY.value else ()
    marks = (LOCKED_STATE, OLD_LOCKED_STATE, USER_LOCK, *shown)
    return tuple((key, "") for key in marks if template.get(user, key))


def for_record(vm: etree._Element, user: Pairs) -> Pairs:
    """What a VM's record says of its user's lock, which a run may have taken off for a while."""
    level = vm.findtext("LOCK/LOCKED") or ""
    if level not in _LEVELS or locked_state(user):
        level = str(user_lock(user))
    return ((RECORDED, level),)


def recorded(recorded_template: Pairs) -> int | None:
    """Level of the user's lock by a VM's record, 0 for none; None where an earlier release wrote it."""
    level = template.get(recorded_template, RECORDED)
    return int(level) if level in ("0", *_LEVELS) else None


def mark(recorded_template: Pairs) -> Pairs:
    """On a VM that is made from this record: the lock that it gets once it is done."""
    level = recorded(recorded_template)
    return ((USER_LOCK, str(level)),) if level else ()
