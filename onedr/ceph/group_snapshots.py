"""Snapshots of several images at one instant (docs/ceph-facts.md C44).

An RBD group exists only while its snapshot is made: as long as an image is a member, it can neither be
removed nor be resynchronised. Then the group is removed and its snapshots stay on the images, in the form in
which they also arrive at the peer: named `.group.<pool>_<group>_<snapshot>`, in Ceph's group namespace, with
no group that they belong to.
"""
from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import rbd

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.ceph.encoding import Decoder
from onedr.model.errors import RefusedError, StorageError

PREFIX = "onedr-point-"  # of the names of our groups
_SNAPSHOT = "point"
_NOTE = "snapshot_"  # how the keys begin under which a group's header notes its snapshots


class GroupSnapshot(NamedTuple):
    """A snapshot in the group namespace: its id on this image, its name on all images of its instant, and
    whether its group exists in this cluster.
    """

    number: int
    name: str
    grouped: bool


class Taken(NamedTuple):
    """What was taken: the name of the snapshot on every image, and the seconds that writers waited at most.
    """

    snapshot: str
    stall_s: float


@contextmanager
def taking(pool: Pool, label: str, names: Collection[str]) -> Iterator[Taken]:
    """Snapshot images at one instant; the block notes what was taken. If it fails, nothing is left.

    `label` names the group: one caller at a time for each. What a killed one left is removed first, with its
    snapshots. Raises RefusedError for an image that is in another group, rbd.Error, StorageError.
    """
    called = f"{PREFIX}{label}"
    remove_group(pool, called)
    pool.rbd.group_create(pool.io, called)
    try:
        _join(pool, called, names)
        begun = time.monotonic()
        rbd.Group(pool.io, called).create_snap(_SNAPSHOT)
        stall_s = time.monotonic() - begun
        snapshot = _newest_on_all(pool, names)
        yield Taken(snapshot, stall_s)
    except BaseException:
        with suppress(rbd.Error):  # what stays is removed by the next call
            remove_group(pool, called)
        raise
    _dissolve(pool, called)


def _join(pool: Pool, called: str, names: Collection[str]) -> None:
    group = rbd.Group(pool.io, called)
    for name in names:
        try:
            group.add_image(pool.io, name)
        except rbd.ObjectExists as error:
            raise RefusedError(
                f"RBD image {pool.access.pool}/{name} is in another RBD group, and Ceph allows one only; "
                "take it out with rbd group image remove."
            ) from error


def _newest_on_all(pool: Pool, names: Collection[str]) -> str:
    found = set()
    for name in names:
        with pool.image(name, read_only=True) as image:
            own = of_image(image)
            found.add(max(own).name if own else "")
    if len(found) != 1 or "" in found:
        raise StorageError(f"Ceph made no common snapshot of {', '.join(sorted(names))}; try again.")
    return found.pop()


def _dissolve(pool: Pool, called: str) -> None:
    """Remove the group and keep its snapshots. Ceph's own removal takes them along, so the group's notes of
    them go first, by the call that librbd makes for each (src/librbd/api/Group.cc).
    """
    header = f"rbd_group_header.{_id_of(pool, called)}"
    for key in omap.read_all(pool, header, _NOTE):
        number = key[len(_NOTE):].encode()
        data = len(number).to_bytes(4, "little") + number
        pool.io.execute(header, "rbd", "group_snap_remove", data)
    pool.rbd.group_remove(pool.io, called)


def _id_of(pool: Pool, called: str) -> str:
    key = f"name_{called}"
    return Decoder(omap.read_keys(pool, "rbd_group_directory", (key,))[key]).text()


def remove_group(pool: Pool, called: str) -> None:
    """Remove a group, if it exists, with the snapshots that it knows. The images stay. Raises rbd.Error."""
    if called not in pool.rbd.group_list(pool.io):
        return
    try:
        pool.rbd.group_remove(pool.io, called)
    except (rbd.ObjectNotFound, rbd.ImageNotFound, rbd.ReadOnlyImage):
        # a member is gone, or became the peer's copy: Ceph cannot remove its snapshot
        _dissolve(pool, called)


def remove_left(pool: Pool, label: str) -> None:
    """Remove our groups whose label begins like this, which killed calls of `taking` left. Raises rbd.Error.
    """
    for called in pool.rbd.group_list(pool.io):
        if str(called).startswith(f"{PREFIX}{label}"):
            remove_group(pool, str(called))


def leave(pool: Pool, image: rbd.Image) -> None:
    """Take an open image out of our group, if it is in one: a snapshot that is being taken then fails."""
    with suppress(rbd.ObjectNotFound, rbd.ImageNotFound):
        called = str(image.group().get("name") or "")
        if called.startswith(PREFIX):
            rbd.Group(pool.io, called).remove_image(pool.io, image.get_name())


def of_image(image: rbd.Image) -> list[GroupSnapshot]:
    """The snapshots of an open image in the group namespace, oldest first."""
    return sorted(
        GroupSnapshot(int(each["id"]), str(each["name"]), bool(each.get("group")))
        for each in image.list_snaps() if each.get("namespace") == rbd.RBD_SNAP_NAMESPACE_TYPE_GROUP
    )


def drop(image: rbd.Image, wanted: Collection[str] | None = None) -> None:
    """Remove such snapshots, by name, from an open primary; None: all that belong to no group here, those
    that came from the peer too.
    """
    for each in of_image(image):
        if each.name in wanted if wanted is not None else not each.grouped:
            with suppress(rbd.ImageNotFound):
                image.remove_snap_by_id(each.number)
