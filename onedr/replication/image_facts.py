"""Facts about the images of a pool at this site, read from the images themselves."""
from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model import names
from onedr.model.errors import OneDRError, RecordError
from onedr.model.records import Envelope, ImageFacts, ImageRecord, PointNote
from onedr.model.settings import duration, schedule_of
from onedr.model.types import Mode, Settings
from onedr.opennebula.datastores import Datastore
from onedr.replication import (
    encryption,
    epoch,
    image_view,
    inventory,
    points,
    preserved_copies,
    quiet_marks,
    reader_records,
    records,
    recovery_point,
    signature,
)
from onedr.replication.image_view import ImageView
from onedr.replication.mirror_image import PROBLEM_KEY
from onedr.replication.quiet_marks import Until


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
    by = reader()
    facts = []
    wanted = [name for name in pool.names() if names.is_managed(name)]
    views = image_view.read_views(pool, wanted)
    quiet = stated(views.values(), by, pool.fsid())
    for name, view in views.items():
        if isinstance(view, OneDRError):
            facts.append(
                ImageFacts(name, "", 0, None, False, False, None, problems=(f"cannot be read: {view}",))
            )
        elif view is not None:
            facts.append(_facts(view, settings, by, quiet))
    return _without_inherited(facts)


def of_datastore(pool: Pool, datastore: Datastore, known: Collection[str] = ()) -> list[ImageFacts]:
    """The same for one datastore. `known`: names of which the front-end here says that they lie in it."""
    images = all_images(pool, datastore.settings)
    peer_name = datastore.settings.peer_datastore or datastore.name
    own = inventory.Owner(pool.fsid(), datastore.datastore_id, datastore.name, peer_name)
    return inventory.of_datastore(images, own, known)


def stated(views: Iterable[ImageView | OneDRError | None], by: Reader, here: str) -> Until:
    """What the quiet marks on copies in the cluster `here` say: those that mirroring brought."""
    if by.fault:
        return {}
    return quiet_marks.newest(
        quiet_marks.decode(
            view.metadata[quiet_marks.KEY], signature.signer_of(by.key, view.global_id, view.name), here
        )
        for view in views
        if isinstance(view, ImageView) and quiet_marks.KEY in view.metadata
        and view.is_copy and not is_stale(view)
    )


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
    """Facts of one image; None when it is gone. Its recovery point is that of its own time mark."""
    view = image_view.open_view(pool, name)
    return None if view is None else _facts(view, settings, by or reader(), {})


def _facts(view: ImageView, settings: Settings, by: Reader, quiet: Until) -> ImageFacts:
    problems = []
    if view.mode is Mode.SNAPSHOT and view.parent:
        problems.append(
            "is a clone mirrored in snapshot mode, whose copy Ceph 16.2 corrupts; see docs/clones.md"
        )
    values = own_metadata(view)
    vm, vm_problem = _record(view, records.VM_KEY, values, by)
    readers, bad_readers = _readers(view, values, by)
    own, own_problem = _record(view, records.IMAGE_KEY, values, by)
    if own is not None and isinstance(own.body, ImageRecord):
        settings = replace(settings, schedule=schedule_of(settings, own.body.template))
    point, mark_problem = copy_point(view, settings, quiet)
    problems += [problem for problem in (vm_problem, own_problem) if problem]
    if view.primary and PROBLEM_KEY in values:
        problems.append(values[PROBLEM_KEY])
    problems += [mark_problem] if mark_problem else []
    return ImageFacts(
        name=view.name,
        rbd_id=view.rbd_id,
        size=view.size,
        mode=view.mode,
        primary=view.primary,
        complete=point.complete,
        recovery_point=point.at,
        parent=view.parent,
        vm=vm,
        image=own,
        problems=tuple(problems),
        epoch=epoch.epoch_in(view.metadata, view.global_id),
        stale=is_stale(view),
        bad_vm=vm_problem,
        readers=readers,
        bad_readers=bad_readers,
        snapshots=frozenset(view.snapshots) if view.is_copy else None,
        global_id=view.global_id,
        points=_points(view, values, by),
        group_snapshots=view.group_snapshots,
    )


def _points(view: ImageView, values: Mapping[str, str], by: Reader) -> dict[str, PointNote]:
    if points.KEY not in values or by.fault:
        return {}
    return points.decode(values[points.KEY], signature.signer_of(by.key, view.global_id, view.name))


def _readers(
    view: ImageView, values: Mapping[str, str], by: Reader
) -> tuple[tuple[Envelope, ...], tuple[str, ...]]:
    """Records of the VMs that read through an image and name it; and what is wrong with others."""
    found, bad = [], []
    for reader in () if names.parse_vm_disk(view.name) else records.readers(values):
        record, problem = _record(view, reader.key, values, by)
        if problem:
            bad.append(problem)
        elif record is not None and reader_records.names_image(record, view.name):
            found.append(record)
    return tuple(found), tuple(bad)


def own_metadata(view: ImageView) -> Mapping[str, str]:
    """The metadata that says something about this image.

    What is not its own was copied from the parent when the initial sync started.
    """
    inherited = view.mode is Mode.JOURNAL and not view.primary and not view.owns_metadata
    return {} if inherited else view.metadata


def is_stale(view: ImageView) -> bool:
    """Does it hold writes of this site that its peer never got?"""
    return view.is_copy and preserved_copies.newest_snapshot(view.rbd_id, view.snapshots) is not None


def copy_point(view: ImageView, settings: Settings, quiet: Until) -> tuple[recovery_point.Point, str]:
    """The recovery point of a copy, and what is wrong with its time mark; of anything else, none.

    `quiet`: what is stated in its pool.
    """
    if view.mode is None or view.primary:
        return recovery_point.Point(False, None), ""
    values, mark, problem = own_metadata(view), None, ""
    try:
        mark = records.read_mark(values)
    except RecordError as error:
        problem = str(error)
    syncs = view.syncs if view.mode is Mode.SNAPSHOT else ()
    interval_s = duration(settings.schedule) if settings.schedule else 0
    carries = any(key.startswith("onedr.") for key in values)
    point = recovery_point.point(view.mode, carries, mark, syncs, interval_s, view.once_synced)
    if view.mode is Mode.JOURNAL:
        point = quiet_marks.extended(point, view.global_id, values, quiet)
    return point, problem


def _record(
    view: ImageView, key: str, values: Mapping[str, str], by: Reader
) -> tuple[Envelope | None, str]:
    if key not in values:
        return None, ""
    try:
        signer = signature.signer_of(by.key, view.global_id, view.name)
        found = records.decode(key, values, signer, by.now)
    except RecordError as error:
        return None, str(error)
    return (replace(found, doubt=by.fault) if found and by.fault else found), ""
