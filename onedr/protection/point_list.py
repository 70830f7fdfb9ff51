"""`onedr points`, `onedr point pin|unpin`: the points in time of a datastore's VMs (docs/points.md)."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import rbd

from onedr.ceph import connection, object_map, parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import InputError, OneDRError, PartialError
from onedr.model.records import ImageFacts, PointNote
from onedr.model.types import Mode, Settings
from onedr.opennebula.datastores import Datastore
from onedr.protection import point_rules
from onedr.protection.points import label_text, noted_problems
from onedr.replication import (
    image_facts,
    inventory,
    locked_copies,
    peer_copies,
    point_notes,
    recovery_point,
    vm_points,
)
from onedr.replication.inventory import VmItem
from onedr.replication.locked_copies import Held
from onedr.replication.vm_points import VmPoint
from onedr.runs.point_events import PointsEvent, PointShown, PointsVm

_LIMIT_S = 30
_THREADS = 8
There = Mapping[str, frozenset[str]] | None


def shown(target: Datastore, wanted: tuple[str, ...] = ()) -> PointsEvent:
    """The points of the VMs of a datastore, this site's and the peer's. `wanted`: ids or names of VMs.

    Raises InputError when no VM is one of those.
    """
    with connection.connect(target.access) as pool:
        items, there = _look(pool, target, wanted)
        held = _held(pool, [image for item in items for image in item.images])
        now = time.time()
        vms = tuple(_vm(item, pool.fsid(), there, held, now) for item in items)
        hindered = noted_problems(pool, target.datastore_id)
        locked = [_held_text(each) for each in locked_copies.all_held(pool, now)]
    warnings = (*(f"{label_text(label)}: {why}" for label, why in sorted(hindered.items())), *locked)
    return PointsEvent(target.name, vms, _said(target.settings), warnings)


def _held_text(each: Held) -> str:
    """Where several datastores share a pool, each shows all: whose a copy was is not known any more."""
    names = ", ".join(sorted(vm_points.moment_name(note.at) for note in each.points.values()))
    until = f"locked until {vm_points.moment_name(each.until)}" if each.until else "its lock is over"
    return (
        f"{each.name}: deleted at the other site, held in Ceph's trash, {until}. It has the points {names}; "
        "onedr point recover copies one."
    )


def recover(target: Datastore, copy: str, moment: str) -> PointsEvent:
    """Copy a held copy's point to a new image, as `locked_copies.recover`; then what `shown` answers."""
    with connection.connect(target.access) as pool:
        made = locked_copies.recover(pool, copy, vm_points.when(moment))
    said = (
        f"RBD image {target.access.pool}/{made} has that content. It is a plain image: oneimage create "
        "--source registers it, rbd export reads it."
    )
    return replace(shown(target), message=said)


def _look(pool: Pool, target: Datastore, wanted: tuple[str, ...]) -> tuple[list[VmItem], There]:
    facts = image_facts.of_datastore(pool, target)
    primaries = [fact.name for fact in facts if fact.primary and fact.mode is not None]
    there: There = None
    if primaries:
        seen = peer_copies.collect_copies(pool, target.settings, primaries)
        if seen.proven:
            there = {name: copy.group_snapshots for name, copy in seen.by_name.items()}
    items = [item for own in (True, False) for item in inventory.vms(facts, pool.fsid(), own)]
    chosen = [item for item in items if not wanted or _is_one_of(item, wanted)]
    if wanted and not chosen:
        named = ", ".join(wanted)
        raise InputError(f"{target.name} has no VM {named}; onedr points {target.name} lists them.")
    return chosen, there


def _is_one_of(item: VmItem, wanted: tuple[str, ...]) -> bool:
    return str(item.record.vm_id) in wanted or item.record.name in wanted


def _held(pool: Pool, images: Iterable[ImageFacts]) -> dict[str, Mapping[str, int]]:
    """By image and snapshot, bytes. What cannot be read is not known."""
    by_name = {image.name: image for image in images if image.points}

    def read(name: str) -> Mapping[str, int]:
        with pool.image(name, read_only=True) as image:
            return object_map.held_bytes(pool, image, tuple(by_name[name].points))

    found = parallel.each(by_name, read, _LIMIT_S, _THREADS)
    return {name: held for name, held in found.items() if not isinstance(held, OneDRError)}


def _vm(
    item: VmItem, fsid: str, there: There, held: Mapping[str, Mapping[str, int]], now: float
) -> PointsVm:
    found = tuple(
        _point(point, [held.get(image.name, {}).get(point.snapshot) for image in item.images
                       if point.snapshot in image.group_snapshots], now)
        for point in vm_points.of_vm(item.images, there)
    )
    return PointsVm(
        item.record.name, item.record.vm_id, item.envelope.site, item.envelope.fsid == fsid, found
    )


def _point(point: VmPoint, held: list[int | None], now: float) -> PointShown:
    return PointShown(
        name=point.name, at=point.note.at, age_s=recovery_point.age_s(point.note.at, now),
        stall_s=round(point.note.stall_s, 3), pin=point.note.pin,
        locked=vm_points.moment_name(point.note.until) if point.note.until > now else "",
        complete=point.complete,
        lacking=point.lacking, held=None if None in held else sum(filter(None, held)),
    )


def _said(settings: Settings) -> str:
    if settings.mode is Mode.SNAPSHOT:
        return (
            "No points are taken: mirror snapshots (DR_MODE=SNAPSHOT) do not carry them to the peer. They "
            "need DR_MODE=JOURNAL; see docs/points.md."
        )
    if not settings.point_every_s:
        return "No points are taken: DR_POINT_EVERY is not set here; see docs/points.md."
    return ""


def pin(
    target: Datastore, moment: str, why: str, wanted: tuple[str, ...], locked: str = ""
) -> PointsEvent:
    """Pin each VM's newest point that is not after `moment`, or with an empty `why` take its pin off.
    `locked`: until when nothing is to take it away, as a person gives it; empty: no lock.

    Raises InputError when there is none, PartialError when not all disks could be noted, RefusedError when
    one to be unpinned is locked.
    """
    now = time.time()
    end = vm_points.lock_end(locked, now) if locked else 0.0
    until = vm_points.when(moment)
    with connection.connect(target.access) as pool:
        items, _ = _look(pool, target, wanted)
        todo: dict[str, set[str]] = {}
        for item in items:
            found = [point for point in vm_points.of_vm(item.images) if int(point.note.at) <= until]
            if found:  # before any is changed
                point_rules.pinned(found[-1].note, why, end, now)
            for image in vm_points.disks_of(item.images) if found else ():
                todo.setdefault(image.name, set()).add(found[-1].snapshot)
        if not todo:
            name = target.name
            raise InputError(f"{name} has no point at or before {moment}; see onedr points {name}.")

        def note(name: str) -> None:
            _pin(pool, name, todo[name], lambda found: point_rules.pinned(found, why, end, now))

        results = parallel.each(todo, note, _LIMIT_S, _THREADS)
    failed = {name: error for name, error in results.items() if isinstance(error, OneDRError)}
    if failed:
        raise PartialError("; ".join(f"{name}: {error}" for name, error in failed.items()))
    return shown(target, wanted)


def _pin(pool: Pool, name: str, snapshots: set[str], by: Callable[[PointNote], PointNote]) -> None:
    def change(notes: point_notes.Notes) -> point_notes.Notes:
        return {key: by(note) if key in snapshots else note for key, note in notes.items()}

    try:
        point_notes.change(pool, name, change)
    except rbd.ImageNotFound:
        return
