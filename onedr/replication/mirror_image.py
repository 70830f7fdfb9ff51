"""Put an image under mirroring, parent first; say why when it cannot be."""
from __future__ import annotations

from typing import NamedTuple

import rbd

from onedr.ceph import images, mirroring
from onedr.ceph.connection import Pool
from onedr.host.paths import places
from onedr.model.errors import OneDRError
from onedr.model.types import Mode, Settings
from onedr.replication import clone_order

# A note of this site about an image that is not mirrored. Keys with this prefix are left out of a first copy
# and in
# snapshot mode; in journal mode one that is set later does travel (docs/ceph-facts.md C11), so never rely
# on it there.
PROBLEM_KEY = ".rbd_onedr.problem"
# On a clone: its mirroring id. The peer's rbd-mirror makes its copy by cloning the parent's copy, which hands
# the parent's
# metadata on; only what comes with this key is the clone's own (docs/measured.md).
SELF_KEY = "onedr.self"
_RECORDS = ("onedr.vm", "onedr.image")  # as `records` names them


class Waiting(NamedTuple):
    """Why an image is not mirrored yet.

    `base`: whose snapshot is awaited at the peer; `flatten`: it must be flattened.
    """

    reason: str
    base: str = ""
    flatten: bool = False


# Ceph makes a clone as an image without a parent, and gives it its parent last: mirrored in between, it would
# be no clone
# to whoever decides about flattening and waiting for the base.
_HALF_MADE = Waiting("is just being made")


def protect_image(pool: Pool, name: str, settings: Settings) -> str | None:
    """Mirror the image in the datastore's mode. Returns None when it is mirrored, else the reason why not
    yet.

    Never raises for what the mirroring refuses: creating an image must not fail because of its copy
    (docs/design.md, "Mirroring never fails the user's action"). The reason is noted on the image; the keeper
    and `reconcile` try again.
    """
    found = begin(pool, name, settings)
    return found.reason if found else None


def begin(pool: Pool, name: str, settings: Settings, patient: bool = True) -> Waiting | None:
    """The same, saying what is waited for.

    Without `patient` a clone does not wait for its base's snapshot at the peer.
    """
    try:
        missing = mirroring.pool_ready(pool)
        found = Waiting(missing) if missing else _enable(pool, name, settings, patient)
    except (rbd.Error, OneDRError) as error:
        found = Waiting(f"mirroring was refused: {error}")
    if found is _HALF_MADE:
        return found  # nothing is written on it: who makes it goes on with it, and protects it
    try:
        note_problem(pool, name, found.reason if found else None)
    except rbd.Error as error:
        return found and found._replace(
            reason=f"{found.reason} (and this could not be noted on the image: {error})"
        )
    return found


def _enable(pool: Pool, name: str, settings: Settings, patient: bool) -> Waiting | None:
    # Read-only: many at once that opened a base to write have made librbd 16.2.15 abort (docs/measured.md).
    with pool.image(name, read_only=True) as image:
        parent = parent_of(image)
        mirrored, signed = mirroring.mirror_mode(image) is not None, mirror_identity(image).signed
    if mirrored:
        if not signed:
            with pool.image(name) as image:
                sign_identity(image)
        return None
    if images.is_being_made(pool, name):
        return _HALF_MADE
    if parent is not None:
        waiting = must_flatten(parent, settings) or _after_parent(pool, parent, settings, patient)
        if waiting:
            return waiting
    with pool.image(name) as image:
        if parent_of(image) != parent:  # it was being made when we looked
            return _HALF_MADE
        mirroring.enable_mirroring(pool, image, settings.mode)
        sign_identity(image)
        _sign_records(image)
    if settings.mode is Mode.SNAPSHOT and settings.schedule:
        mirroring.add_schedule(pool, name, settings.schedule)
    return None


def _sign_records(image: rbd.Image) -> None:
    """Those written before the image was mirrored. A new image has none, and its driver pays for nothing."""
    if not any(str(key).startswith(_RECORDS) for key, _ in image.metadata_list()):
        return
    from onedr.replication import encryption, records

    record_key = encryption.load_key(places().record_key)
    if record_key is not None:
        records.sign_for_mirroring(image, record_key)


def must_flatten(parent: tuple[str, str, str], settings: Settings) -> Waiting | None:
    """Snapshot mode corrupts clones at the peer (docs/ceph-facts.md C1).

    Flattening takes long: `protection.flatten` does it.
    """
    if settings.mode is Mode.SNAPSHOT or settings.flatten_clones:
        return Waiting(f"waits to be flattened from {'/'.join(parent[:2])}", flatten=True)
    return None


def _after_parent(
    pool: Pool, parent: tuple[str, str, str], settings: Settings, patient: bool
) -> Waiting | None:
    where, base, snapshot = parent
    if where != pool.access.pool:
        return Waiting(f"its parent lies in pool {where}, which this datastore does not mirror")
    waiting = _enable(pool, base, settings, patient)
    if waiting:
        return waiting._replace(reason=f"its parent {base}: {waiting.reason}")
    reason = clone_order.must_wait(pool, base, snapshot, settings) if patient else None
    return Waiting(reason, base=base) if reason else None


class MirrorIdentity(NamedTuple):
    """What one read of an image tells: its metadata, its parent, and whether the metadata are its own
    (`signed`).
    """

    values: dict[str, str]
    parent: tuple[str, str, str] | None
    signed: bool


def mirror_identity(image: rbd.Image) -> MirrorIdentity:
    """Read it. An image that stands alone needs no sign."""
    values = {str(key): str(value) for key, value in image.metadata_list()}
    parent = parent_of(image)
    return MirrorIdentity(
        values, parent, parent is None or values.get(SELF_KEY) == mirroring.global_id(image)
    )


def sign_identity(image: rbd.Image) -> None:
    """Let a mirrored clone say which it is."""
    if not mirror_identity(image).signed and mirroring.is_primary(image):
        image.metadata_set(SELF_KEY, mirroring.global_id(image))


def parent_of(image: rbd.Image) -> tuple[str, str, str] | None:
    """(pool, image, snapshot) a clone was made from, None for an image that stands alone."""
    try:
        info = image.parent_info()
    except rbd.ImageNotFound:
        return None
    return str(info[0]), str(info[1]), str(info[2])


def note_problem(pool: Pool, name: str, reason: str | None) -> None:
    """Note on the image why it is not mirrored; None takes the note off. Writes only what differs."""
    with pool.image(name) as image:
        there = dict(image.metadata_list()).get(PROBLEM_KEY)
        if reason and there != reason:
            image.metadata_set(PROBLEM_KEY, reason)
        elif not reason and there is not None:
            image.metadata_remove(PROBLEM_KEY)
