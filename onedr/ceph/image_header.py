"""What RADOS stores of an RBD image in the omap of `rbd_header.<id>`, decoded without librbd.

Ceph: src/cls/rbd/cls_rbd.cc and cls_rbd_types.h. The forms that are known, and what is done with others, are
in docs/ceph-facts.md C57; tests/bed/test_image_scan.py compares them with librbd's answers. Pure.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from onedr.ceph.encoding import Decoder, UnknownFormatError

# Features of a head that is all here. Without migrating (512), during which a part of it lies elsewhere.
_KNOWN_FEATURES = 0xFFF & ~512
_METADATA, _SNAPSHOT = "metadata_", "snapshot_"


class Namespace(IntEnum):
    """What made a snapshot."""

    USER = 0
    GROUP = 1
    TRASH = 2
    MIRROR = 3


class MirrorState(IntEnum):
    """Of a mirror snapshot."""

    PRIMARY = 0
    PRIMARY_DEMOTED = 1
    NON_PRIMARY = 2
    NON_PRIMARY_DEMOTED = 3


@dataclass(frozen=True)
class Snapshot:
    """A snapshot; `mirror`, `complete`, `taken_at` (epoch seconds) and `orphan` (taken by a promotion, of no
    site) are of mirror snapshots only.
    """

    name: str
    namespace: int
    mirror: MirrorState | None = None
    complete: bool = False
    taken_at: int = 0
    orphan: bool = False


@dataclass(frozen=True)
class Parent:
    """Where a clone reads what it lacks. `space`: the RBD namespace, empty for none."""

    pool: int
    space: str
    image_id: str


@dataclass(frozen=True)
class Header:
    """One image's header: size in bytes, metadata, snapshots from the oldest on; `made_at`: epoch seconds, 0
    where the image does not say.
    """

    size: int
    metadata: Mapping[str, str]
    snapshots: tuple[Snapshot, ...]
    parent: Parent | None
    made_at: int = 0


def decode_header(values: Mapping[str, bytes]) -> Header:
    """The header of an image from its omap. Raises UnknownFormatError, also for an image that is gone."""
    if "size" not in values or "features" not in values:
        raise UnknownFormatError("there is no image header")
    features = Decoder(values["features"]).u64()
    if features & ~_KNOWN_FEATURES:
        raise UnknownFormatError(f"an image has features {features:#x}")
    return Header(
        size=Decoder(values["size"]).u64(),
        metadata={
            key[len(_METADATA):]: _text(value) for key, value in values.items() if key.startswith(_METADATA)
        },
        snapshots=tuple(_snapshot(values[key]) for key in sorted(values) if key.startswith(_SNAPSHOT)),
        parent=_parent(values["parent"]) if "parent" in values else None,
        made_at=Decoder(values["create_timestamp"]).u32() if "create_timestamp" in values else 0,
    )


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise UnknownFormatError("a metadata value is not UTF-8") from error


def _parent(value: bytes) -> Parent | None:
    fields = Decoder(value).struct(2, 2)
    parent = Parent(fields.i64(), fields.text(), fields.text())
    fields.u64()  # the snapshot's id
    if not fields.u8():
        return None  # flattened; only its snapshots still read through it
    if parent.pool < 0 or not parent.image_id or not fields.u64():
        raise UnknownFormatError("a clone has a parent without an overlap")
    return parent


def _snapshot(value: bytes) -> Snapshot:
    fields = Decoder(value).struct(8, 8)
    fields.u64()  # its id
    name = fields.text()
    fields.u64()  # the image's size
    fields.u8()  # protection
    fields.u64()  # flags
    made_by = fields.struct(1, 2)
    namespace = made_by.u32()
    if namespace not in tuple(Namespace):
        raise UnknownFormatError(f"a snapshot has namespace {namespace}")
    if namespace != Namespace.MIRROR:
        return Snapshot(name, namespace)
    state = made_by.u8()
    if state not in tuple(MirrorState):
        raise UnknownFormatError(f"a mirror snapshot has state {state}")
    complete = bool(made_by.u8())
    orphan = state == MirrorState.NON_PRIMARY and not _site_of(made_by)
    return Snapshot(name, namespace, MirrorState(state), complete, fields.u32(), orphan)


def _site_of(mirror: Decoder) -> str:
    """Ceph's id of the site from which a mirror snapshot was copied. After the sites that still need it."""
    for _ in range(mirror.u32()):
        mirror.text()
    return mirror.text()


def is_primary(header: Header) -> bool | None:
    """May this site write to an image that is mirrored by snapshots? None when its header does not say.

    The newest mirror snapshot decides (Ceph: src/librbd/mirror/GetInfoRequest.cc).
    """
    states = [snapshot.mirror for snapshot in header.snapshots if snapshot.mirror is not None]
    return states[-1] is MirrorState.PRIMARY if states else None
