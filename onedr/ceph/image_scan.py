"""All images of a pool in a bounded number of rounds of asynchronous reads, without opening any.

Read are the omaps of `rbd_mirroring` (mode, id and state), of `rbd_header.<id>` (ceph.image_header) and of
`journal.<id>` (ceph.image_journal). What has a form that is not known is left out: librbd must be asked for
it.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import rbd

from onedr.ceph import image_header, image_journal, omap
from onedr.ceph.connection import Pool
from onedr.ceph.encoding import Decoder, UnknownFormatError
from onedr.ceph.image_header import Header, Snapshot
from onedr.model.types import Mode

_LISTED = "image_"
_MODES = {rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL: Mode.JOURNAL, rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT: Mode.SNAPSHOT}
_STATES = range(4)


@dataclass(frozen=True)
class Listed:
    """An image in Ceph's list of mirrored images. `mode` None: it is being enabled or disabled."""

    global_id: str
    mode: Mode | None


_NOT_LISTED = Listed("", None)


@dataclass(frozen=True)
class ScannedImage:
    """One image. `global_id` is empty, and `primary` true, for one that is not listed.

    `parent`: the name of the image that it reads through.
    """

    name: str
    image_id: str
    mode: Mode | None
    primary: bool
    global_id: str
    header: Header
    parent: str | None


def scan(pool: Pool, names: Iterable[str], limit_s: float) -> dict[str, ScannedImage]:
    """Those of `names` that can be read this way; each round of reads has `limit_s`. Raises rados.Error."""
    ids = {str(entry["name"]): str(entry["id"]) for entry in pool.rbd.list2(pool.io)}
    wanted = {name: ids[name] for name in names if name in ids}
    try:
        listed = read_listed(omap.read_all(pool, "rbd_mirroring", _LISTED))
    except UnknownFormatError:
        return {}
    headers = _headers(pool, wanted.values(), limit_s)
    mirrored = {each: listed[each] for each in headers if each in listed}
    primary = _primaries(pool, mirrored, headers, limit_s)
    by_id = {image_id: name for name, image_id in ids.items()}
    here, found = int(pool.io.get_pool_id()), {}
    for name, image_id in wanted.items():
        header = headers.get(image_id)
        if header is None or (image_id in listed and image_id not in primary):
            continue
        parent = None
        if header.parent is not None:
            parent = by_id.get(header.parent.image_id)
            if parent is None or (header.parent.pool, header.parent.space) != (here, ""):
                continue  # in another pool, or in the trash
        entry = listed.get(image_id, _NOT_LISTED)
        found[name] = ScannedImage(
            name, image_id, entry.mode, primary.get(image_id, True), entry.global_id, header, parent
        )
    return found


def scan_snapshots(pool: Pool, names: Iterable[str], limit_s: float) -> dict[str, tuple[Snapshot, ...]]:
    """The snapshots of those of `names` that can be read this way. Raises rados.Error."""
    ids = {str(entry["name"]): str(entry["id"]) for entry in pool.rbd.list2(pool.io)}
    wanted = {ids[name]: name for name in names if name in ids}
    return {wanted[each]: header.snapshots for each, header in _headers(pool, wanted, limit_s).items()}


def scan_roles(pool: Pool, limit_s: float) -> dict[str, tuple[str, bool]] | None:
    """By name of each mirrored image, its mirroring id, and whether this site may write to it.

    None when one of them cannot be read this way. Raises rados.Error.
    """
    try:
        listed = read_listed(omap.read_all(pool, "rbd_mirroring", _LISTED))
    except UnknownFormatError:
        return None
    names = {str(entry["id"]): str(entry["name"]) for entry in pool.rbd.list2(pool.io)}
    mirrored = {each: entry for each, entry in listed.items() if entry.mode is not None and each in names}
    by_snapshot = [each for each, entry in mirrored.items() if entry.mode is Mode.SNAPSHOT]
    headers = _headers(pool, by_snapshot, limit_s)
    if len(headers) < len(by_snapshot):
        return None
    primary = _primaries(pool, mirrored, headers, limit_s)
    if len(primary) < len(mirrored):
        return None
    return {names[each]: (entry.global_id, primary[each]) for each, entry in mirrored.items()}


def read_listed(values: Mapping[str, bytes]) -> dict[str, Listed]:
    """By image id, what Ceph's list of mirrored images says. Pure. Raises UnknownFormatError."""
    found = {}
    for key, value in values.items():
        fields = Decoder(value).struct(2, 2)
        global_id, state, mode = fields.text(), fields.u8(), fields.u8()
        if mode not in _MODES or state not in _STATES:
            raise UnknownFormatError(f"a mirrored image has mode {mode} and state {state}")
        enabled = state == rbd.RBD_MIRROR_IMAGE_ENABLED
        found[key[len(_LISTED):]] = Listed(global_id, _MODES[mode] if enabled else None)
    return found


def _headers(pool: Pool, ids: Iterable[str], limit_s: float) -> dict[str, Header]:
    objects = {f"rbd_header.{image_id}": image_id for image_id in ids}
    found = {}
    for name, values in omap.read_many(pool, objects, limit_s=limit_s).items():
        try:
            found[objects[name]] = image_header.decode_header(values)
        except UnknownFormatError:
            continue
    return found


def _primaries(
    pool: Pool, listed: Mapping[str, Listed], headers: Mapping[str, Header], limit_s: float
) -> dict[str, bool]:
    """By image id, as far as the images say it: may this site write to it? True for one without a mode."""
    journals = {f"journal.{each}": each for each, entry in listed.items() if entry.mode is Mode.JOURNAL}
    tags = omap.read_many(pool, journals, image_journal.TAGS, limit_s)
    roles: dict[str, bool | None] = {each: True for each, entry in listed.items() if entry.mode is None}
    roles.update({journals[name]: image_journal.newest_tag_is_ours(values) for name, values in tags.items()})
    roles.update({
        each: image_header.is_primary(headers[each])
        for each, entry in listed.items() if entry.mode is Mode.SNAPSHOT
    })
    return {each: role for each, role in roles.items() if role is not None}
