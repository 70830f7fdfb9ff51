"""Which site owns a journaled image, read from its journal: one small read instead of opening image and
journal.

Each role change adds a tag to the omap of `journal.<image's id>`: `tag_<number, 16 hex digits>`, whose data
starts with the mirroring id of the site that may write, empty for this one (Ceph: Tag in
src/cls/journal/cls_journal_types.h, TagData in src/librbd/journal/Types.h; compared with librbd by
tests/bed/test_promote.py).
"""
from __future__ import annotations

import struct
from contextlib import suppress

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool

# version, oldest version of a reader, length; number, class, length of the data
_TAG = struct.Struct("<BBIQQI")
_TEXT = struct.Struct("<I")
_READER = 1
TAGS = "tag_"  # prefix of the keys
_TOLD_MS = 5000


def is_owned_here(pool: Pool, image_id: str) -> bool | None:
    """May this site write to the image?

    None when its journal is not conclusive. Raises rados.Error.
    """
    return newest_tag_is_ours(omap.read_all(pool, f"journal.{image_id}", TAGS))


def notify_journal(pool: Pool, image_id: str) -> None:
    """Notify all clients that have the journal open, as librbd does when it adds a tag. Nothing is changed.

    An image without a journal is ignored, and so are clients that do not answer within 5 s. Raises
    rados.Error.
    """
    with suppress(rados.ObjectNotFound, rados.TimedOut):
        pool.io.notify(f"journal.{image_id}", timeout_ms=_TOLD_MS)


def newest_tag_is_ours(tags: dict[str, bytes]) -> bool | None:
    """The same from its tags.

    None without tags, with tags that only a newer Ceph can read, and with tags of several classes.
    """
    found = [_read(tags[key]) for key in sorted(tags)]
    if not found or None in found or len({tag[0] for tag in found if tag is not None}) != 1:
        return None
    newest = found[-1]
    return newest is not None and newest[1] == 0


def _read(tag: bytes) -> tuple[int, int] | None:
    """The tag's class, and the length of the owner's id."""
    if len(tag) < _TAG.size + _TEXT.size:
        return None
    _, oldest, _, _, tag_class, length = _TAG.unpack_from(tag)
    return (
        None if oldest > _READER or length < _TEXT.size else (tag_class, _TEXT.unpack_from(tag, _TAG.size)[0])
    )
