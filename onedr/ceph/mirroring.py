"""RBD mirroring of single images: enable, disable, roles, status.

Roles and completeness are read from the image itself.
"""
from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import NamedTuple, TypedDict

import rbd

from onedr.ceph import image_scan, mirror_schedule, omap, orphan_snapshots
from onedr.ceph.connection import Pool
from onedr.ceph.image_lock import image_lock
from onedr.host.waiting import wait_until
from onedr.model.errors import StorageError
from onedr.model.types import Mode

_MODES = {Mode.JOURNAL: rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, Mode.SNAPSHOT: rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT}
# Which features an image had before it was mirrored: `<image id> <number>`.
# It stays at this site (docs/ceph-facts.md C11).
FEATURES_KEY = ".rbd_onedr.features"
_HALF_DONE_S, _PAUSE_S = 5, 0.2
_ROLES_LIMIT_S = 30
_SYNC_POINT = ".rbd-mirror."
_INSTANCE = "instance_"
REPLAYING = 4  # mirror_image_get_status()['state'], docs/ceph-facts.md C16


class MirrorStatus(TypedDict, total=False):
    """What a rbd-mirror says of an image, as librbd's binding returns it; `remote_statuses`: of the other
    sites' (without a name).
    """

    name: str
    up: bool
    state: int
    description: str
    last_update: datetime
    remote_statuses: list[MirrorStatus]


def mirror_mode(image: rbd.Image) -> Mode | None:
    """How the image is mirrored; None when it is not."""
    if image.mirror_image_get_info()["state"] != rbd.RBD_MIRROR_IMAGE_ENABLED:
        return None
    number = image.mirror_image_get_mode()
    return next(known for known, value in _MODES.items() if value == number)


def is_listed(pool: Pool, image: rbd.Image) -> bool:
    """Is the image in Ceph's list of mirrored images? One that is listed without a mode is being enabled or
    disabled.

    It is also listed when a process died during that: librbd then reports `disabled`, and the peer keeps its
    copy (docs/measured.md).
    """
    return bool(omap.read_keys(pool, "rbd_mirroring", (f"image_{image.id()}",)))


def is_primary(image: rbd.Image) -> bool:
    """May this site write to the image? True also for an image that is not mirrored."""
    info = image.mirror_image_get_info()
    return bool(info["primary"]) or info["state"] != rbd.RBD_MIRROR_IMAGE_ENABLED


def is_primary_image(pool: Pool, name: str) -> bool | None:
    """`is_primary` of the image of this name; None when there is no such image."""
    try:
        with pool.image(name, read_only=True) as image:
            return is_primary(image)
    except rbd.ImageNotFound:
        return None


def is_mirrored_primary(image: rbd.Image) -> bool:
    """Is it mirrored and primary? An image that rbd-mirror is creating or removing is neither."""
    info = image.mirror_image_get_info()
    return bool(info["primary"]) and info["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED


def global_id(image: rbd.Image) -> str:
    """The id that a mirrored image has at both sites."""
    return str(image.mirror_image_get_info()["global_id"])


def enable_mirroring(pool: Pool, image: rbd.Image, wanted: Mode) -> None:
    """Enable mirroring of the image, unless it is enabled. Another process may do the same at this moment.

    Reads back.
    """
    if mirror_mode(image) is None:
        _record_features(image, wanted)
        try:
            image.mirror_image_enable(_MODES[wanted])
        except (rbd.InvalidArgument, rbd.ImageExists, rbd.ImageBusy):
            _enable_again(pool, image, wanted)
    if mirror_mode(image) is None:
        raise StorageError(
            f"RBD image {image.get_name()} is not mirrored although Ceph accepted it. Check rbd mirror image "
            "status."
        )


def _enable_again(pool: Pool, image: rbd.Image, wanted: Mode) -> None:
    """Ceph refused, because another process enables it at this moment
    (a driver and the keeper), or died while doing so.
    """
    wait_until(
        lambda: not is_listed(pool, image) or mirror_mode(image) is not None, _HALF_DONE_S, _PAUSE_S
    )
    if mirror_mode(image) is not None:
        return
    if is_listed(pool, image):
        image.mirror_image_disable(False)
    image.mirror_image_enable(_MODES[wanted])


def _record_features(image: rbd.Image, wanted: Mode) -> None:
    """Ceph adds an exclusive lock and a journal, also while a VM has the image open, and removes the journal
    when mirroring ends (measured). The previous features are recorded first, for `disable`: a process that is
    killed between the journal and the mirroring would otherwise leave the journal behind as if it were the
    image's own.
    """
    changing = rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING
    changes = wanted is Mode.JOURNAL or image.features() & changing != rbd.RBD_FEATURE_EXCLUSIVE_LOCK
    if changes and _recorded_features(image) is None:
        image.metadata_set(FEATURES_KEY, f"{image.id()} {image.features()}")


def _recorded_features(image: rbd.Image) -> int | None:
    """A note with another id was copied by Ceph from the clone's parent."""
    image_id, _, features = dict(image.metadata_list()).get(FEATURES_KEY, "").partition(" ")
    return int(features) if image_id == image.id() and features.isdecimal() else None


def disable_mirroring(pool: Pool, name: str) -> None:
    """End the mirroring of a primary image, which deletes the peer's copy, and restore its previous features.

    It may be repeated, and a VM may have the image open. Reads back. Raises StorageError, rbd.Error.
    """
    with pool.image(name) as image:
        if mirror_mode(image) is Mode.SNAPSHOT:
            # first: Ceph accepts no command for the schedule of an image that is not mirrored
            mirror_schedule.remove_schedules(pool, name)
        if is_listed(pool, image):
            # Ceph removes the journal last: a repeated run must know the
            # features if this one dies before that
            if _recorded_features(image) is None:
                image.metadata_set(
                    FEATURES_KEY, f"{image.id()} {image.features() & ~rbd.RBD_FEATURE_JOURNALING}"
                )
            image.mirror_image_disable(False)
        remove_sync_snapshots(image)
        _restore_features(image)
        if is_listed(pool, image):
            raise StorageError(
                f"RBD image {name} is still mirrored although Ceph accepted the end of mirroring. Check rbd "
                "mirror image status."
            )


def remove_sync_snapshots(image: rbd.Image) -> None:
    """Remove the snapshots that an interrupted initial sync left on an image; nothing else removes them."""
    for name in sync_snapshots(image):
        with suppress(rbd.ImageNotFound):
            image.remove_snap(name)


def sync_snapshots(image: rbd.Image) -> list[str]:
    """Names of the snapshots from which rbd-mirror makes, or made, the initial copy."""
    return [
        name
        for name in (str(snapshot["name"]) for snapshot in image.list_snaps())
        if name.startswith(_SYNC_POINT)
    ]


def _restore_features(image: rbd.Image) -> None:
    before = _recorded_features(image)
    if before is None:
        return
    added = image.features() & ~before
    if added & rbd.RBD_FEATURE_JOURNALING:
        image.update_features(rbd.RBD_FEATURE_JOURNALING, False)
    if added & rbd.RBD_FEATURE_EXCLUSIVE_LOCK and not image.features() & rbd.RBD_FEATURE_OBJECT_MAP:
        image.update_features(rbd.RBD_FEATURE_EXCLUSIVE_LOCK, False)
    if before & ~image.features() & rbd.RBD_FEATURE_JOURNALING:
        image.update_features(rbd.RBD_FEATURE_JOURNALING, True)


def publish_changes(pool: Pool, image: rbd.Image) -> None:
    """Replicate the image's current content: in snapshot mode by a mirror snapshot. In journal mode nothing
    is needed.

    Only one process at a time does so for an image: two at once crash librbd 16.2.15 (docs/measured.md).
    Raises StorageError when another process takes too long.
    """
    if mirror_mode(image) is not Mode.SNAPSHOT:
        return
    with image_lock(pool, str(image.id()), "publishing"):
        image.mirror_image_create_snapshot()


class MirrorRole(NamedTuple):
    """The role of a mirrored image; `global_id` is the same at both sites."""

    global_id: str
    primary: bool


def roles(pool: Pool) -> dict[str, MirrorRole]:
    """The roles of all mirrored images of the pool by name, without opening any.

    librbd's own list is asked only for what image_scan does not know: it reads one image after another.
    """
    scanned = image_scan.scan_roles(pool, _ROLES_LIMIT_S)
    if scanned is not None:
        return {name: MirrorRole(*found) for name, found in scanned.items()}
    names = {str(entry["id"]): str(entry["name"]) for entry in pool.rbd.list2(pool.io)}
    return {
        names[image_id]: MirrorRole(str(found["global_id"]), bool(found["primary"]))
        for image_id, found in ((str(key), value) for key, value in pool.rbd.mirror_image_info_list(pool.io))
        if image_id in names and found["state"] == rbd.RBD_MIRROR_IMAGE_ENABLED
    }


def pool_ready(pool: Pool) -> str | None:
    """None when single images of the pool can be mirrored, else what is missing and what to type."""
    if pool.rbd.mirror_mode_get(pool.io) != rbd.RBD_MIRROR_MODE_IMAGE:
        return (
            f"pool {pool.access.pool} does not mirror per image: rbd mirror pool enable {pool.access.pool} "
            "image"
        )
    if not list(pool.rbd.mirror_peer_list(pool.io)):
        return f"pool {pool.access.pool} has no peer: rbd mirror pool peer bootstrap create/import"
    return None


def receives(pool: Pool) -> bool:
    """Does the pool receive copies? The other site's rbd-mirror notes itself here as a peer that only reads
    (direction tx), also after this site's peer was removed.
    """
    directions = {peer.get("direction") for peer in pool.rbd.mirror_peer_list(pool.io)}
    return bool(directions - {rbd.RBD_MIRROR_PEER_DIRECTION_TX})


def mirror_snapshots(image: rbd.Image) -> list[tuple[bool, int]]:
    """Mirror snapshots, oldest first: is each complete, and when was it taken (epoch seconds)? Without those
    that only a promotion took.
    """
    return [
        (sync.complete, int(snapshot_time(image, sync.number)))
        for sync in orphan_snapshots.syncs(image) if not sync.orphan
    ]


def snapshot_time(image: rbd.Image, snapshot_id: int) -> float:
    """When a snapshot was taken, epoch seconds."""
    return float(image.get_snap_timestamp(snapshot_id).replace(tzinfo=timezone.utc).timestamp())


def replaying_at_peer(pool: Pool) -> set[str]:
    """Names of images whose copies the peer's rbd-mirror reports as replaying.

    A hint: up to 30 s old (docs/ceph-facts.md C15).
    """
    return {str(status["name"]) for status in pool.rbd.mirror_image_status_list(pool.io) if _replays(status)}


def split_brained(pool: Pool) -> set[str]:
    """Names of images here that rbd-mirror calls split-brain (docs/ceph-facts.md C25).

    A hint: up to 30 s old, and only while it runs.
    """
    return {
        str(status["name"]) for status in pool.rbd.mirror_image_status_list(pool.io)
        if "split-brain" in str(status.get("description", ""))
    }


def remote_replaying(image: rbd.Image) -> bool:
    """The same for one image."""
    return _replays(image.mirror_image_get_status())


def _replays(status: MirrorStatus) -> bool:
    return any(
        remote.get("up") and remote.get("state") == REPLAYING for remote in status.get("remote_statuses", [])
    )


def replayers(pool: Pool, name: str) -> dict[int, str]:
    """Client id and address of the rbd-mirror that replicates to an image.

    Empty for a primary, whose watcher may be a running VM.
    """
    with pool.image(name, read_only=True) as image:
        return (
            {}
            if is_primary(image)
            else {int(watcher["id"]): str(watcher["addr"]) for watcher in image.watchers_list()}
        )


def daemons(pool: Pool) -> set[int]:
    """Client ids of the rbd-mirror daemons that work on the pool, as they register themselves. A dead one
    remains for a while.

    Ceph: src/tools/rbd_mirror/Instances.cc, omap of object `rbd_mirror_leader`; the ids are those of
    `replayers` (measured).
    """
    return {int(name[len(_INSTANCE):]) for name in omap.list_keys(pool, "rbd_mirror_leader", _INSTANCE)}


def blocklist(pool: Pool, address: str, seconds: int) -> None:
    """Add a client's address to Ceph's blocklist for some seconds."""
    pool.mon(prefix="osd blocklist", blocklistop="add", addr=address, expire=float(seconds))


def is_one_way(pool: Pool) -> bool:
    """Does every peer only receive, or only send? Then no failback is possible after a failover."""
    both = rbd.RBD_MIRROR_PEER_DIRECTION_RX_TX
    return all(peer.get("direction", both) != both for peer in pool.rbd.mirror_peer_list(pool.io))


def mirror_peers(pool: Pool) -> list[str]:
    """Ids of the pool's mirror peers."""
    return [str(peer["uuid"]) for peer in pool.rbd.mirror_peer_list(pool.io)]
