"""Facts about the images of a pool at this site, read from the images themselves."""
from __future__ import annotations

from dataclasses import replace

import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.model import names
from onedr.model.errors import OneDRError, RecordError
from onedr.model.records import Envelope, ImageFacts, ImageRecord
from onedr.model.settings import duration
from onedr.model.types import Mode, Settings
from onedr.opennebula import datastores
from onedr.opennebula.datastores import Datastore
from onedr.replication import epoch, inventory, preserved_copies, records, recovery_point
from onedr.replication.mirror_image import PROBLEM_KEY, mirror_identity

_LIMIT_S = 30
_THREADS = 32


def all_images(pool: Pool, settings: Settings) -> list[ImageFacts]:
    """Facts of every managed image. One that cannot be read is listed with the problem."""
    wanted = [name for name in pool.names() if names.is_managed(name)]
    results = parallel.each(wanted, lambda name: image_facts(pool, name, settings), _LIMIT_S, _THREADS)
    facts = []
    for name, result in results.items():
        if isinstance(result, OneDRError):
            facts.append(
                ImageFacts(name, "", 0, None, False, False, None, problems=(f"cannot be read: {result}",))
            )
        elif result is not None:
            facts.append(result)
    return _without_inherited(facts)


def of_datastore(pool: Pool, datastore: Datastore, shared: bool) -> list[ImageFacts]:
    """The same for one datastore. `shared`: other datastores use the same pool (datastores.shares_pool)."""
    images = all_images(pool, datastore.settings)
    return inventory.of_datastores(images, datastores.names(datastore)) if shared else images


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


def image_facts(pool: Pool, name: str, settings: Settings) -> ImageFacts | None:
    """Facts of one image; None when it is gone."""
    try:
        with pool.image(name, read_only=True) as image:
            return _facts(image, name, settings)
    except rbd.ImageNotFound:
        return None


def _facts(image: rbd.Image, name: str, settings: Settings) -> ImageFacts:
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
    vm, vm_problem = _record(records.VM_KEY, everything)
    own, own_problem = _record(records.IMAGE_KEY, everything)
    problems += [problem for problem in (vm_problem, own_problem) if problem]
    if primary and PROBLEM_KEY in everything:
        problems.append(everything[PROBLEM_KEY])
    point = recovery_point.Point(False, None)
    if mode is not None and not primary:
        try:
            mark = records.read_mark(everything)
        except RecordError as error:
            mark = None
            problems.append(str(error))
        snapshots = mirroring.mirror_snapshots(image) if mode is Mode.SNAPSHOT else []
        interval_s = duration(settings.schedule) if settings.schedule else 0
        carries = any(key.startswith("onedr.") for key in everything)
        point = recovery_point.point(mode, carries, mark, snapshots, interval_s)
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
    )


def _record(key: str, values: dict[str, str]) -> tuple[Envelope | None, str]:
    try:
        return records.decode(key, values), ""
    except RecordError as error:
        return None, str(error)
