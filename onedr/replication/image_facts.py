"""Facts about the images of a pool at this site, read from the images themselves."""
from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model import names
from onedr.model.errors import OneDRError, RecordError
from onedr.model.records import Envelope, ImageFacts, ImageRecord
from onedr.model.settings import duration
from onedr.model.types import Mode, Settings
from onedr.opennebula.datastores import Datastore
from onedr.replication import (
    encryption,
    epoch,
    inventory,
    preserved_copies,
    records,
    recovery_point,
    signature,
)
from onedr.replication.mirror_image import PROBLEM_KEY, mirror_identity

_LIMIT_S = 30
_THREADS = 32


class Reader(NamedTuple):
    """What records are read with: this site's record key, or why it has none that can be used; and the clock.
    """

    key: encryption.RecordKey | None
    fault: str
    now: float


def reader() -> Reader:
    """With a key that cannot be used no record is believed: nothing could tell a forged one."""
    try:
        return Reader(encryption.load_key(front_end_paths().record_key), "", time.time())
    except RecordError as error:
        return Reader(None, str(error), time.time())


def all_images(pool: Pool, settings: Settings) -> list[ImageFacts]:
    """Facts of every managed image. One that cannot be read is listed with the problem."""
    wanted = [name for name in pool.names() if names.is_managed(name)]
    by = reader()
    results = parallel.each(wanted, lambda name: image_facts(pool, name, settings, by), _LIMIT_S, _THREADS)
    facts = []
    for name, result in results.items():
        if isinstance(result, OneDRError):
            facts.append(
                ImageFacts(name, "", 0, None, False, False, None, problems=(f"cannot be read: {result}",))
            )
        elif result is not None:
            facts.append(result)
    return _without_inherited(facts)


def of_datastore(pool: Pool, datastore: Datastore, known: Collection[str] = ()) -> list[ImageFacts]:
    """The same for one datastore. `known`: names of which the front-end here says that they lie in it."""
    images = all_images(pool, datastore.settings)
    peer_name = datastore.settings.peer_datastore or datastore.name
    own = inventory.Owner(pool.fsid(), datastore.datastore_id, datastore.name, peer_name)
    return inventory.of_datastore(images, own, known)


def _without_inherited(facts: list[ImageFacts]) -> list[ImageFacts]:
    """Remove image records that clones inherited: Ceph copied them from the parent.

    A VM's disk has no image record of its own, and keeps the parent's even after it was flattened.
    """
    of_image = {fact.name: _subject(fact.image) for fact in facts if fact.image is not None}
    return [
        replace(fact, image=None) if fact.image and _is_inherited(fact, fact.image, of_image) else fact
        for fact in facts
    ]


def _is_inherited(fact: ImageFacts, record: Envelope, of_image: dict[str, tuple[str, int]]) -> bool:
    return names.parse_vm_disk(fact.name) is not None or of_image.get(fact.parent or "") == _subject(record)


def _subject(record: Envelope) -> tuple[str, int]:
    return record.fsid, record.body.image_id if isinstance(record.body, ImageRecord) else -1


def image_facts(pool: Pool, name: str, settings: Settings, by: Reader | None = None) -> ImageFacts | None:
    """Facts of one image; None when it is gone."""
    try:
        with pool.image(name, read_only=True) as image:
            return _facts(image, name, settings, by or reader())
    except rbd.ImageNotFound:
        return None


def _facts(image: rbd.Image, name: str, settings: Settings, by: Reader) -> ImageFacts:
    mode = mirroring.mirror_mode(image)
    primary = mirroring.is_primary(image)
    seen = mirror_identity(image)
    # Metadata that is not its own was copied from the parent when the initial sync started.
    everything = {} if mode is Mode.JOURNAL and not primary and not seen.is_own else seen.values
    problems = []
    if mode is Mode.SNAPSHOT and seen.parent:
        problems.append(
            "is a clone mirrored in snapshot mode, whose copy Ceph 16.2 corrupts; see docs/clones.md"
        )
    vm, vm_problem = _record(image, records.VM_KEY, everything, by)
    own, own_problem = _record(image, records.IMAGE_KEY, everything, by)
    problems += [problem for problem in (vm_problem, own_problem) if problem]
    if primary and PROBLEM_KEY in everything:
        problems.append(everything[PROBLEM_KEY])
    point, mark_problem = recovery_point.Point(False, None), ""
    if mode is not None and not primary:
        point, mark_problem = _point(image, mode, everything, settings)
    problems += [mark_problem] if mark_problem else []
    return ImageFacts(
        name=name,
        rbd_id=str(image.id()),
        size=int(image.size()),
        mode=mode,
        primary=primary,
        complete=point.complete,
        recovery_point=point.at,
        parent=seen.parent[1] if seen.parent else None,
        vm=vm,
        image=own,
        problems=tuple(problems),
        epoch=epoch.read_epoch(image, seen.values),
        stale=mode is not None and not primary and preserved_copies.snapshot_of(image) is not None,
        bad_vm=vm_problem,
    )


def _point(
    image: rbd.Image, mode: Mode, values: dict[str, str], settings: Settings
) -> tuple[recovery_point.Point, str]:
    """The recovery point of a copy, and what is wrong with its time mark."""
    mark, problem = None, ""
    try:
        mark = records.read_mark(values)
    except RecordError as error:
        problem = str(error)
    snapshots = mirroring.mirror_snapshots(image) if mode is Mode.SNAPSHOT else []
    interval_s = duration(settings.schedule) if settings.schedule else 0
    carries = any(key.startswith("onedr.") for key in values)
    return recovery_point.point(mode, carries, mark, snapshots, interval_s), problem


def _record(
    image: rbd.Image, key: str, values: dict[str, str], by: Reader
) -> tuple[Envelope | None, str]:
    if key not in values:
        return None, ""
    try:
        found = records.decode(key, values, signature.signer(by.key, image), by.now)
    except RecordError as error:
        return None, str(error)
    return (replace(found, doubt=by.fault) if found and by.fault else found), ""
