"""What is decided on of an image: read for many at once where its form is known, else by opening it."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timezone

import rbd

from onedr.ceph import group_snapshots, image_scan, images, mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.ceph.image_header import Namespace
from onedr.ceph.image_scan import ScannedImage
from onedr.model.errors import OneDRError
from onedr.model.types import Mode
from onedr.replication import recovery_point
from onedr.replication.mirror_image import IDENTITY_KEY, mirror_identity

_LIMIT_S = 30
_THREADS = 32


@dataclass(frozen=True)
class ImageView:
    """One image. `global_id`: its mirroring id, empty without one; `parent`: the image it reads through.

    `snapshots` (of users), `syncs` (mirror snapshots, oldest first: is each complete?) and `once_synced` (the
    newest complete one is the first that it ever had) are read of copies only; `group_snapshots`, by name, of
    all.
    """

    name: str
    rbd_id: str
    size: int  # bytes
    mode: Mode | None  # None: not mirrored
    primary: bool
    global_id: str
    metadata: Mapping[str, str]
    parent: str | None
    snapshots: tuple[str, ...] = ()
    syncs: tuple[bool, ...] = ()
    once_synced: bool = False
    group_snapshots: frozenset[str] = frozenset()

    @property
    def is_copy(self) -> bool:
        """Is it the peer's copy?"""
        return self.mode is not None and not self.primary

    @property
    def owns_metadata(self) -> bool:
        """Is its metadata its own, rather than its parent's?"""
        return self.parent is None or self.metadata.get(IDENTITY_KEY) == self.global_id


def read_views(
    pool: Pool, names: Iterable[str], limit_s: float = _LIMIT_S, threads: int = _THREADS
) -> dict[str, ImageView | OneDRError | None]:
    """By name; None for an image that is gone, an error for one that cannot be read within `limit_s`.

    Raises rados.Error.
    """
    wanted = list(dict.fromkeys(names))
    scanned = {name: _of_scan(found) for name, found in image_scan.scan(pool, wanted, limit_s).items()}
    rest = [name for name in wanted if name not in scanned]
    opened = parallel.each(rest, lambda name: open_view(pool, name), limit_s, threads)
    return {name: scanned[name] if name in scanned else opened[name] for name in wanted}


def _of_scan(found: ScannedImage) -> ImageView:
    is_copy = found.mode is not None and not found.primary
    snapshots = found.header.snapshots if is_copy else ()
    syncs = [
        (each.complete, each.taken_at) for each in snapshots
        if each.namespace == Namespace.MIRROR and not each.orphan
    ]
    return ImageView(
        name=found.name, rbd_id=found.image_id, size=found.header.size, mode=found.mode,
        primary=found.primary, global_id=found.global_id, metadata=found.header.metadata, parent=found.parent,
        snapshots=tuple(each.name for each in snapshots if each.namespace == Namespace.USER),
        syncs=tuple(complete for complete, _ in syncs),
        once_synced=recovery_point.is_once_synced(found.header.made_at, syncs),
        group_snapshots=frozenset(
            each.name for each in found.header.snapshots if each.namespace == Namespace.GROUP
        ),
    )


def open_view(pool: Pool, name: str) -> ImageView | None:
    """The same of one image, by librbd; None when it is gone. Raises rbd.Error."""
    try:
        with pool.image(name, read_only=True) as image:
            return _opened(image, name)
    except rbd.ImageNotFound:
        return None


def _opened(image: rbd.Image, name: str) -> ImageView:
    mode, primary = mirroring.mirror_mode(image), mirroring.is_primary(image)
    is_copy = mode is not None and not primary
    seen = mirror_identity(image)
    syncs = mirroring.mirror_snapshots(image) if is_copy else []
    made_at = int(image.create_timestamp().replace(tzinfo=timezone.utc).timestamp()) if is_copy else 0
    return ImageView(
        name=name, rbd_id=str(image.id()), size=int(image.size()), mode=mode, primary=primary,
        global_id=mirroring.global_id(image), metadata=seen.values,
        parent=seen.parent[1] if seen.parent else None,
        snapshots=tuple(images.snapshots(image)) if is_copy else (),
        syncs=tuple(complete for complete, _ in syncs),
        once_synced=recovery_point.is_once_synced(made_at, syncs),
        group_snapshots=frozenset(each.name for each in group_snapshots.of_image(image)),
    )
