"""Ceph gives a clone its parent last.

Who mirrors what he finds must not take it for an image that stands alone meanwhile.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import rbd
from test_prefix import pool_of
from wrapped import Wrapped

from onedr.ceph import base_snapshot, images, mirroring, pending_images
from onedr.ceph.connection import Pool
from onedr.model.types import Mode, Settings
from onedr.protection import contents
from onedr.replication.mirror_image import begin_mirroring

if TYPE_CHECKING:
    from sandbox.bed import Bed

FLATTEN = Settings(protect=True, flatten_clones=True)
WHAT = "disk 0 of VM 1"


def made(pool: Pool, name: str) -> None:
    pool.rbd.create(pool.io, name, 8 << 20, old_format=False)


def mode_of(pool: Pool, name: str) -> Mode | None:
    with pool.image(name, read_only=True) as image:
        return mirroring.mirror_mode(image)


def test_what_is_being_made_is_left_alone_until_it_is_whole(ceph_bed: Bed) -> None:
    with pool_of(ceph_bed, "site-a") as pool:
        with images.creating(pool, "one-1-1-0", WHAT):
            made(pool, "one-1-1-0")
            waiting = begin_mirroring(pool, "one-1-1-0", FLATTEN)
            assert waiting is not None and waiting.reason == "is being created" and not waiting.flatten
            assert mode_of(pool, "one-1-1-0") is None
        assert begin_mirroring(pool, "one-1-1-0", FLATTEN) is None
        assert mode_of(pool, "one-1-1-0") is Mode.JOURNAL


def test_a_note_that_stayed_behind_goes_with_the_makers_name(
    ceph_bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal of the note failed; the datastore is given back to stock, and protected again later."""
    with pool_of(ceph_bed, "site-a") as pool:
        with monkeypatch.context() as patch:
            patch.setattr(pending_images, "clear_pending", lambda *_: None)
            with images.creating(pool, "one-3", WHAT):
                made(pool, "one-3")
        assert pending_images.pending_note(pool, "one-3")
        contents.strip_image(pool, "one-3")
        assert begin_mirroring(pool, "one-3", FLATTEN) is None
        assert mode_of(pool, "one-3") is Mode.JOURNAL


class Early(Pool):
    """A look, the first one, at a clone that has no parent yet."""

    looks = 0

    @contextmanager
    def image(self, name: str, read_only: bool = False) -> Iterator[Any]:
        with super().image(name, read_only) as image:
            self.looks += 1
            yield Parentless(image) if self.looks == 1 else image


class Parentless(Wrapped):
    def parent_info(self) -> None:
        raise rbd.ImageNotFound("no parent", errno=2)


def test_a_clone_that_was_made_since_the_look_is_not_mirrored_as_an_image(ceph_bed: Bed) -> None:
    """Also where the stock driver makes it, which leaves no word of what it is about to make."""
    with pool_of(ceph_bed, "site-a") as pool:
        made(pool, "one-2")
        base_snapshot.clone_from_base(pool, "one-2", "one-2-1-0")
        waiting = begin_mirroring(Early(pool.cluster, pool.io, pool.access), "one-2-1-0", FLATTEN)
        assert waiting is not None and waiting.reason == "is being created"
        assert mode_of(pool, "one-2-1-0") is None
        waiting = begin_mirroring(pool, "one-2-1-0", FLATTEN)
        assert waiting is not None and waiting.flatten
