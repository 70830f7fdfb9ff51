"""Enable mirroring of an image, parent first, or report why that is not possible."""
from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

import rados
import rbd

from onedr.ceph import images, mirroring
from onedr.ceph.connection import Pool
from onedr.ceph.mirror_schedule import NoSchedulesError, add_schedule
from onedr.host.paths import front_end_paths
from onedr.model.errors import OneDRError
from onedr.model.types import Mode, Settings
from onedr.replication import clone_order, copy_turns

# Why an image is not mirrored, noted on it. Keys with this prefix are not part of an initial copy and not
# replicated in snapshot mode. In journal mode a later change is replicated (docs/ceph-facts.md C11), so the
# peer must not rely on it.
PROBLEM_KEY = ".rbd_onedr.problem"
# On a clone: its mirroring id. The peer's rbd-mirror makes its copy by cloning the parent's copy, which
# copies the parent's metadata; metadata with this key is the clone's own (docs/measured.md).
IDENTITY_KEY = "onedr.self"
_RECORDS = ("onedr.vm", "onedr.image", "onedr.reader")  # as `records` names them


class Waiting(NamedTuple):
    """Why an image is not mirrored yet.

    `base`: the image whose snapshot is awaited at the peer; `flatten`: it must be flattened first.
    """

    reason: str
    base: str = ""
    flatten: bool = False


# Ceph creates a clone without its parent, which is set last. Mirrored in between, it would not be treated as
# a clone: not flattened, and not made to wait for its base.
_INCOMPLETE = Waiting("is being created")


def protect_image(pool: Pool, name: str, settings: Settings) -> str | None:
    """Mirror the image in the datastore's mode. Returns None when it is mirrored, else why it is not mirrored
    yet.

    Never raises when mirroring fails: creating an image must not fail because of its copy (docs/design.md,
    "Mirroring never fails the user's action"). The reason is noted on the image. The keeper and `reconcile`
    retry.
    """
    found = begin_mirroring(pool, name, settings)
    return found.reason if found else None


def begin_mirroring(pool: Pool, name: str, settings: Settings, wait_for_base: bool = True) -> Waiting | None:
    """The same, with what the image waits for.

    Without `wait_for_base` a clone does not wait for its base's snapshot at the peer.
    """
    seen: _Seen | None = None
    try:
        missing = mirroring.pool_ready(pool)
        if missing:
            found: Waiting | None = Waiting(missing)
        else:
            seen = _look(pool, name)
            found = _enable(pool, name, settings, wait_for_base, seen)
    except (rados.Error, rbd.Error, OneDRError) as error:
        found = Waiting(f"mirroring failed: {error}")
    if found is _INCOMPLETE:
        return found  # nothing is written to it: its creator completes and protects it
    if found is None and seen is not None and PROBLEM_KEY not in seen.identity.values:
        return None  # there is no note to take off
    try:
        note_problem(pool, name, found.reason if found else None)
    except rbd.Error as error:
        return found and found._replace(
            reason=f"{found.reason} (and this could not be noted on the image: {error})"
        )
    return found


class _Seen(NamedTuple):
    """An image before anything is done to it."""

    is_mirrored: bool
    identity: MirrorIdentity


def _look(pool: Pool, name: str) -> _Seen:
    # Read-only: many clients that open a base for writing at once can
    # abort librbd 16.2.15 (docs/measured.md).
    with pool.image(name, read_only=True) as image:
        return _Seen(mirroring.mirror_mode(image) is not None, mirror_identity(image))


def _enable(
    pool: Pool, name: str, settings: Settings, wait_for_base: bool, seen: _Seen
) -> Waiting | None:
    parent = seen.identity.parent
    if seen.is_mirrored:
        if not seen.identity.is_own:
            with pool.image(name) as image:
                write_identity(image)
        return None
    if images.is_incomplete(pool, name):
        return _INCOMPLETE
    if parent is not None:
        waiting = must_flatten(parent, settings) or _after_parent(pool, parent, settings, wait_for_base)
        if waiting:
            return waiting
    waits = copy_turns.take(pool, name, settings)
    if waits:
        return Waiting(waits)
    with pool.image(name) as image:
        if parent_of(image) != parent:  # its parent was set in the meantime
            return _INCOMPLETE
        mirroring.enable_mirroring(pool, image, settings.mode)
        write_identity(image)
        _sign_records(image)
    if settings.mode is Mode.SNAPSHOT and settings.schedule:
        with suppress(NoSchedulesError):  # the keeper takes the snapshots
            add_schedule(pool, name, settings.schedule)
    return None


def _sign_records(image: rbd.Image) -> None:
    """Those written before the image was mirrored. A new image has none, and its driver pays for nothing."""
    if not any(str(key).startswith(_RECORDS) for key, _ in image.metadata_list()):
        return
    from onedr.replication import encryption, records

    record_key = encryption.load_key(front_end_paths().record_key)
    if record_key is not None:
        records.sign_for_mirroring(image, record_key)


def must_flatten(parent: tuple[str, str, str], settings: Settings) -> Waiting | None:
    """Snapshot mode corrupts clones at the peer (docs/ceph-facts.md C1).

    Flattening takes long: `protection.flatten` does it.
    """
    if settings.mode is Mode.SNAPSHOT or settings.flatten_clones:
        return Waiting(f"waits to be flattened from its parent {'/'.join(parent[:2])}", flatten=True)
    return None


def _after_parent(
    pool: Pool, parent: tuple[str, str, str], settings: Settings, wait_for_base: bool
) -> Waiting | None:
    where, base, snapshot = parent
    if where != pool.access.pool:
        return Waiting(f"its parent is in pool {where}, which this datastore does not mirror")
    waiting = _enable(pool, base, settings, wait_for_base, _look(pool, base))
    if waiting:
        return waiting._replace(reason=f"its parent {base}: {waiting.reason}")
    reason = clone_order.waiting_reason(pool, base, snapshot, settings) if wait_for_base else None
    return Waiting(reason, base=base) if reason else None


class MirrorIdentity(NamedTuple):
    """An image's metadata and parent, and whether the metadata is its
    own (`is_own`) rather than its parent's.
    """

    values: dict[str, str]
    parent: tuple[str, str, str] | None
    is_own: bool


def mirror_identity(image: rbd.Image) -> MirrorIdentity:
    """Read it. The metadata of an image without a parent is always its own."""
    values = {str(key): str(value) for key, value in image.metadata_list()}
    parent = parent_of(image)
    return MirrorIdentity(
        values, parent, parent is None or values.get(IDENTITY_KEY) == mirroring.global_id(image)
    )


def is_protected(image: rbd.Image) -> bool:
    """Is it mirrored from here, its metadata its own, and no problem noted? Then `protect_image` has nothing
    to do, unless the pool's own mirroring was ended.
    """
    if not mirroring.is_mirrored_primary(image):
        return False
    found = mirror_identity(image)
    return found.is_own and PROBLEM_KEY not in found.values


def write_identity(image: rbd.Image) -> None:
    """Mark the metadata of a mirrored clone as its own."""
    if not mirror_identity(image).is_own and mirroring.is_primary(image):
        image.metadata_set(IDENTITY_KEY, mirroring.global_id(image))


def parent_of(image: rbd.Image) -> tuple[str, str, str] | None:
    """(pool, image, snapshot) that a clone was made from; None for an image without a parent."""
    try:
        info = image.parent_info()
    except rbd.ImageNotFound:
        return None
    return str(info[0]), str(info[1]), str(info[2])


def note_problem(pool: Pool, name: str, reason: str | None) -> None:
    """Note on the image why it is not mirrored; None removes the note. Writes only changes."""
    with pool.image(name) as image:
        there = dict(image.metadata_list()).get(PROBLEM_KEY)
        if reason and there != reason:
            image.metadata_set(PROBLEM_KEY, reason)
        elif not reason and there is not None:
            image.metadata_remove(PROBLEM_KEY)
