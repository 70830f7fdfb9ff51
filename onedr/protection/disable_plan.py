"""Disabling protection of a datastore: blockers, ordered steps, warnings.

Pure.
"""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from onedr.model.template import Pairs
from onedr.model.text import Sentence, filled, first_few, named
from onedr.model.types import DRIVER, STOCK_DRIVER
from onedr.protection.enable_plan import (
    CEPH_MODE,
    ConversionItem,
    ConversionPlan,
    DatastoreFacts,
    ItemVerdict,
    Vm,
)


@dataclass(frozen=True)
class DisableFacts:
    """Everything that `disable` decides on."""

    datastore: DatastoreFacts
    confirm: str
    dry_run: bool
    items: tuple[ConversionItem, ...] = ()
    vms: tuple[Vm, ...] = ()
    interrupted: str = ""  # verb of a run that was interrupted
    peer_proven: bool = False  # the peer's copies were read there
    rehearsed: bool = False  # a rehearsal left something, or is at work


def disable_plan(facts: DisableFacts) -> ConversionPlan:
    """What disabling does, or all reasons why it is refused."""
    datastore = facts.datastore
    verdicts = disable_verdicts(facts.items)
    acting = [verdict.item for verdict in verdicts if verdict.what == "act"]
    mirrored = [item for item in acting if item.mode]
    refusals = datastore.refusals() + _unsafe(facts)
    if not refusals and not facts.dry_run and facts.confirm != datastore.name:
        refusals.append(Sentence(
            f"Disabling deletes the peer's copies of {len(mirrored)} image(s) and disk(s). To confirm, "
            f"repeat the datastore's name: --confirm {datastore.name} (or DR_CONFIRM)."
        ))
    if refusals:
        return ConversionPlan(tuple(refusals), (), (), (), verdicts)
    ours = [str(vm) for vm in facts.vms if vm.driver == DRIVER]
    warnings = (
        []
        if facts.peer_proven or not mirrored
        else [
            "The peer's images cannot be read. Its rbd-mirror removes the copies when it is connected; "
            "check there afterwards."
        ]
    )
    if ours:
        warnings.append(
            f"Disks created while it was protected keep the driver ceph_dr: {first_few(ours)}. Keep OneDR's "
            "drivers installed until these VMs or their disks are recreated."
        )
    changes = _stock_changes(datastore)
    steps = _steps(len(mirrored), len(acting)) if changes or acting else _ALREADY
    first = ("Remove what a rehearsal left at this site.",) if facts.rehearsed else ()
    return ConversionPlan((), tuple(warnings), changes, (*first, *steps), verdicts)


_ALREADY = ("It is already a stock datastore.",)


def _steps(mirrored: int, acting: int) -> tuple[str, ...]:
    return (
        "Set DR_PROTECT=NO and the drivers ceph in one update; wait until the keeper has ended.",
        f"End the mirroring of {mirrored} image(s) and disk(s), clones before their bases: the "
        f"peer's copies are deleted. Remove features and metadata from {acting}.",
        "Remove the DR_ attributes.",
    )


def _stock_changes(datastore: DatastoreFacts) -> Pairs:
    drivers = (("DS_MAD", datastore.ds_mad), ("TM_MAD", datastore.tm_mad))
    changed = tuple((key, STOCK_DRIVER) for key, there in drivers if there != STOCK_DRIVER)
    if not changed and not any(key.startswith("DR_") for key, _ in datastore.attributes):
        return ()
    message = "Protection is being disabled. If that was interrupted, run onedr disable again."
    return (
        *changed,
        ("DR_PROTECT", "NO"),
        ("DR_STATE", "UNPROTECTED"),
        ("DR_ROLE", "unprotected"),
        ("DR_MESSAGE", message),
    )


def disable_verdicts(items: Iterable[ConversionItem]) -> tuple[ItemVerdict, ...]:
    """The verdict for each item; `done`: nothing of OneDR is on it."""
    return tuple(ItemVerdict(item, *_disable_verdict(item)) for item in items)


def _disable_verdict(item: ConversionItem) -> tuple[str, str]:
    if item.unreadable:
        return "act", item.blocker
    if not item.exists:
        return "leave", "there is no RBD image of this name"
    if not item.primary:
        return "leave", "it is the peer's copy here"
    if item.used_by:
        return "leave", f"other images are clones of it: {item.used_by}"
    if item.blocker and not (item.mode or item.traces):
        return "leave", item.blocker
    return ("act", "") if item.mode or item.traces else ("done", "nothing of OneDR is on it")


def _unsafe(facts: DisableFacts) -> list[str]:
    found: list[str] = []
    if facts.interrupted:
        found.append(Sentence(
            f"The last {facts.interrupted} was interrupted. Finish it first: onedr {facts.interrupted}."
        ))
    unknown = [f"{item.label}: {item.blocker}" for item in facts.items if item.unreadable]
    if unknown:
        found.append(filled("These images cannot be read: {}. Repair or delete them first.", named(unknown)))
    split = [item.label for item in facts.items if item.split]
    if split:
        text = "Primary at both sites: {}. Decide first which copy is the good one; see docs/states.md."
        found.append(filled(text, named(split)))
    locked = {item.label: item.locked_until for item in facts.items if item.locked_until}
    if locked:
        until = max(locked.values())
        text = f"Points in time are locked, until {until} the last: {{}}. Disabling would remove them."
        found.append(filled(text, named(locked, see="onedr points")))
    theirs = [item.label for item in facts.items if item.mode and not item.primary]
    if theirs:
        text = "This site only receives {}: disable protection at the peer, which is their primary."
        found.append(filled(text, named(theirs)))
    ours = [item for item in facts.items if item.mode and item.primary]
    only = [item.label for item in ours if item.from_peer and item.wanted and not item.copied]
    if only:
        found.append(filled(
            "Taken over from the peer, which has no complete copy of them: {}. Disabling would prevent the "
            "failback. Wait until there is one, or set DR_PROTECT=NO on these images first.", named(only),
        ))
    return found


def children_first(items: Iterable[ConversionItem], pool: str) -> list[list[ConversionItem]]:
    """Groups to process one after the other, clones before their bases."""
    by_name = {f"{pool}/{item.name}": item for item in items}

    def depth(item: ConversionItem, seen: tuple[str, ...] = ()) -> int:
        parent = by_name.get(item.parent)
        return 0 if parent is None or item.name in seen else 1 + depth(parent, (*seen, item.name))

    groups: dict[int, list[ConversionItem]] = {}
    for item in by_name.values():
        groups.setdefault(depth(item), []).append(item)
    return [groups[level] for level in sorted(groups, reverse=True)]


def stock_attributes(attributes: Pairs, keep_ceph_mode: bool) -> Pairs:
    """A datastore's attributes without OneDR's.

    `keep_ceph_mode`: disks of some VM still have the driver ceph_dr, and need these attributes on a stock
    `ceph` system datastore (docs/opennebula-facts.md O18).
    """
    ours = () if keep_ceph_mode else tuple(key for key, _ in CEPH_MODE)
    return tuple((key, value) for key, value in attributes if not key.startswith("DR_") and key not in ours)
