"""Put an image under mirroring, parent first; say why when it cannot be."""
from __future__ import annotations

import rbd

from onedr.errors import OneDRError
from onedr.model import Mode, Settings
from onedr.ports import mirror
from onedr.ports.ceph import Pool

# A note of this site about an image that is not mirrored. Keys with this prefix are left out of a first copy and in
# snapshot mode (P39); in journal mode one that is set later does travel (measured on 16.2.15), so never rely on it there.
PROBLEM_KEY = ".rbd_onedr.problem"
# On a clone: its mirroring id. The peer's rbd-mirror makes its copy by cloning the parent's copy, which hands the parent's
# metadata on; only what comes with this key is the clone's own (docs/measured.md).
SELF_KEY = "onedr.self"


def protect(pool: Pool, name: str, settings: Settings) -> str | None:
    """Mirror the image in the datastore's mode. Returns None when it is mirrored, else the reason why not yet.

    Never raises for what the mirroring refuses: creating an image must not fail because of its copy (DESIGN §5). The
    reason is noted on the image and `reconcile` tries again.
    """
    try:
        reason = mirror.pool_ready(pool) or _enable(pool, name, settings)
    except (rbd.Error, OneDRError) as error:
        reason = f"mirroring was refused: {error}"
    try:
        _note(pool, name, reason)
    except rbd.Error as error:
        return reason and f"{reason} (and this could not be noted on the image: {error})"
    return reason


def _enable(pool: Pool, name: str, settings: Settings) -> str | None:
    with pool.image(name) as image:
        parent = parent_of(image)
        if mirror.mode(image) is not None:
            sign(image)
            return None
    if parent is not None:
        if settings.mode is Mode.SNAPSHOT or settings.flatten_clones:
            # Snapshot mode corrupts clones at the peer (CEPH-FACTS §0.1); flattening takes long, reconcile does it.
            return f"waits to be flattened from {'/'.join(parent)}"
        if parent[0] != pool.access.pool:
            return f"its parent lies in pool {parent[0]}, which this datastore does not mirror"
        reason = _enable(pool, parent[1], settings)
        if reason:
            return f"its parent {parent[1]}: {reason}"
    with pool.image(name) as image:
        mirror.enable(image, settings.mode)
        sign(image)
    if settings.mode is Mode.SNAPSHOT and settings.schedule:
        mirror.add_schedule(pool, name, settings.schedule)
    return None


def is_signed(image: rbd.Image) -> bool:
    """Does the image's metadata say that it is its own? One that stands alone needs no sign."""
    return parent_of(image) is None or dict(image.metadata_list()).get(SELF_KEY) == mirror.global_id(image)


def sign(image: rbd.Image) -> None:
    """Let a mirrored clone say which it is."""
    if not is_signed(image) and mirror.is_primary(image):
        image.metadata_set(SELF_KEY, mirror.global_id(image))


def parent_of(image: rbd.Image) -> tuple[str, str] | None:
    """(pool, image) a clone was made from, None for an image that stands alone."""
    try:
        info = image.parent_info()
    except rbd.ImageNotFound:
        return None
    return str(info[0]), str(info[1])


def _note(pool: Pool, name: str, reason: str | None) -> None:
    with pool.image(name) as image:
        if reason:
            image.metadata_set(PROBLEM_KEY, reason)
        elif PROBLEM_KEY in dict(image.metadata_list()):
            image.metadata_remove(PROBLEM_KEY)
