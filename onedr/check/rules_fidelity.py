"""What of each VM would not come back as it was: attributes, snapshots of its disks, files of its context.

The same sentences as a dry run's (docs/fidelity.md), at any time and at both sites.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from onedr.check.facts import CheckFacts, CheckResult, TargetFacts, known, ok, problem, warn
from onedr.check.rules_vms import site_of, vm_items
from onedr.failover import placement, snapshot_list_plan
from onedr.failover.snapshot_list_plan import SnapshotList
from onedr.model import template
from onedr.model.records import DiskRef, ImageFacts
from onedr.opennebula import files
from onedr.opennebula.vm_template import ANOTHER_PORT
from onedr.replication.inventory import VmItem

# Said by a check of its own.
_ELSEWHERE = ("CONTEXT/FILES_DS", "disk ")
# Different, and the VM lacks nothing.
_HARMLESS = (ANOTHER_PORT, placement.OF_IMAGE)


def attributes_here(facts: CheckFacts) -> Iterator[CheckResult]:
    """Of the peer's VMs here, after a failover."""
    yield from _attributes(facts, known(facts.start_here), False)


def attributes_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """Of our VMs at the peer."""
    yield from _attributes(facts, known(facts.start_there), True)


def _attributes(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    where = site_of(own)
    items, fresh = vm_items(facts, target, own)
    found = placement.place(fresh, target.placement).differences
    labels = {item.origin: item.label for item in fresh}
    whole = len(items)
    for item in items:
        lacking = [text for text in item.warnings if "has no copy" in text]
        said = [text for text in found.get(item.origin, ()) if not text.startswith(_ELSEWHERE)]
        losses = [*lacking, *(text for text in said if not text.startswith(_HARMLESS))]
        whole -= bool(losses)
        if losses:
            yield warn(
                f"{item.label} would not be {where} as it is: {'; '.join(losses)}", "docs/fidelity.md"
            )
    for origin, said_of in found.items():
        for text in said_of:
            if text.startswith(_HARMLESS):
                yield ok(f"{labels[origin]}: {text}")
    if whole:
        yield ok(f"{whole} VM(s) would be {where} as they are, by docs/fidelity.md")
    elif not items:
        yield ok(f"no VM would have to be {where}")


def snapshots_here(facts: CheckFacts) -> Iterator[CheckResult]:
    """Of disks of the peer's VMs: what of them the copies carry."""
    yield from _snapshots(facts, known(facts.start_here), False)


def snapshots_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """Of disks of our VMs at the peer; whether its copies carry them is read there."""
    yield from _snapshots(facts, known(facts.start_there), True)


def _snapshots(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    items, _ = vm_items(facts, target, own)
    images = {image.name: image for image in known(facts.images)}
    disks = [(item, disk, found) for item in items for disk, found in _with_snapshots(item)]
    for item, disk, found in disks:
        for trouble in _of_disk(item, disk, found, images):
            yield replace(trouble, todo=f"onedr snapshots {facts.datastore}")
    if disks:
        count = sum(len(found.snapshots) for _, _, found in disks)
        yield ok(
            f"{count} snapshot(s) of {len(disks)} disk(s) come along {'to the peer' if own else 'here'}, "
            "with numbers, names and places; not their DATE and SIZE, which are those of the run"
        )
    else:
        yield ok("no disk of a VM has snapshots")


def _of_disk(
    item: VmItem, disk: DiskRef, found: SnapshotList, images: Mapping[str, ImageFacts]
) -> Iterator[CheckResult]:
    """What is wrong with the snapshots of one disk."""
    what, name = f"disk {disk.disk_id} of {item.label}", str(disk.rbd).rpartition("/")[2]
    lost = _not_in_copy(found, images.get(name))
    if lost:
        yield problem(f"{what}: its snapshot {', '.join(map(str, lost))} is not in the copy {name}")
    if snapshot_list_plan.plan_list(SnapshotList(), found).unlisted:
        yield warn(f"{what}: oned will not list its snapshots there: their numbers are too far apart")
    if template.get(_backup(item), "MODE").upper() == "INCREMENT":
        yield warn(f"{what}: oned will not list its snapshots there: the VM has incremental backups")


def _with_snapshots(item: VmItem) -> Iterator[tuple[DiskRef, SnapshotList]]:
    for disk in item.record.disks:
        found = snapshot_list_plan.of_disk(item.record.snapshots, disk.disk_id)
        if disk.protected and found.snapshots:
            yield disk, found


def _backup(item: VmItem) -> template.Pairs:
    return next(template.vectors(item.record.template, "BACKUP_CONFIG"), ())


def _not_in_copy(found: SnapshotList, image: ImageFacts | None) -> list[int]:
    """Numbers of snapshots that are listed and that a copy here does not have."""
    if image is None or image.snapshots is None:
        return []
    return sorted(number for number in found.snapshots if str(number) not in image.snapshots)


def files_here(facts: CheckFacts) -> Iterator[CheckResult]:
    """Context files of the peer's VMs here. A missing kernel or ramdisk keeps a VM out: rules_vms says so."""
    yield from _files(facts, known(facts.start_here), False)


def files_there(facts: CheckFacts) -> Iterator[CheckResult]:
    """The same of our VMs at the peer."""
    yield from _files(facts, known(facts.start_there), True)


def _files(facts: CheckFacts, target: TargetFacts, own: bool) -> Iterator[CheckResult]:
    items, fresh = vm_items(facts, target, own)
    here = target.placement.counterparts
    missing = [
        (item, text) for item in fresh
        for text in files.missing_in_context(
            item.record.template, here, item.record.owner, item.record.group)
    ]
    for item, text in missing:
        yield warn(f"{item.label}: {text}", "oneimage create")
    if not missing:
        yield ok(f"files of the context of {len(items)} VM(s) are {site_of(own)}")
