"""Somebody died while Ceph ended an image's mirroring: it counts as not mirrored, and the copy stays. The next one ends that."""
from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import rados
import rbd
from test_prefix import pool_of, protected
from wrapped import Wrapped

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.model.types import Mode, Settings
from onedr.protection import contents, enable
from onedr.replication import peer_copies
from sandbox.waiting import until

if TYPE_CHECKING:
    from sandbox.bed import Bed

STATE = 46  # where the state stands in a journaled image's entry: header of 6 bytes, length of 4, mirroring id of 36
DISABLING, ENABLED = 0, 1


def begin_to_end(pool: Pool, name: str) -> None:
    """Leave the image as a `mirror_image_disable` does that is killed after its first write."""
    with pool.image(name) as image:
        key = f"image_{image.id()}"
    with rados.ReadOpCtx() as read:
        found, _ = pool.io.get_omap_vals_by_keys(read, (key,))
        pool.io.operate_read_op(read, "rbd_mirroring")
        ((_, value),) = list(found)
    assert value[STATE] == ENABLED
    with rados.WriteOpCtx() as write:
        pool.io.set_omap(write, (key,), (value[:STATE] + bytes([DISABLING]) + value[STATE + 1:],))
        pool.io.operate_write_op(write, "rbd_mirroring")


@pytest.mark.parametrize("mirrored_again", [False, True])
def test_what_was_begun_is_ended(ceph_bed: Bed, mirrored_again: bool) -> None:
    name = f"one-{int(mirrored_again)}"
    protected(ceph_bed, name)
    with pool_of(ceph_bed, "site-a") as pool, pool_of(ceph_bed, "site-b") as there:
        begin_to_end(pool, name)
        with pool.image(name) as image:
            assert mirroring.mirror_mode(image) is None and mirroring.is_listed(pool, image)
            before = image.mirror_image_get_info()["state"]
            if mirrored_again:
                mirroring.enable_mirroring(pool, image, Mode.JOURNAL)
                assert mirroring.mirror_mode(image) is Mode.JOURNAL
                image.metadata_set("onedr.test", "again")
                until("a copy that follows", lambda: follows(there, name), 90, 0.3)
                return
        assert before != rbd.RBD_MIRROR_IMAGE_ENABLED
        contents.strip_image(pool, name)
        with pool.image(name, read_only=True) as image:
            assert mirroring.mirror_mode(image) is None and not mirroring.is_listed(pool, image)
            assert not image.features() & rbd.RBD_FEATURE_JOURNALING
            assert not [key for key, _ in image.metadata_list() if contents.is_onedr_key(str(key))]
        until("the copy to go", lambda: not there.exists(name), 60, 0.3)


def test_a_copy_that_is_just_removed_is_nobodys_primary(ceph_bed: Bed) -> None:
    """Else ending the protection again right after it began is refused as a split-brain (seen in one run of ten)."""
    protected(ceph_bed, "one-8")
    with pool_of(ceph_bed, "site-a") as pool, pool_of(ceph_bed, "site-b") as there:
        begin_to_end(there, "one-8")
        with there.image("one-8", read_only=True) as image:
            assert mirroring.is_primary(image) and not mirroring.is_mirrored_primary(image)
        seen = peer_copies.collect_copies(pool, Settings(), ["one-8"])
        assert seen.proven and not seen.by_name["one-8"].primary and not seen.by_name["one-8"].complete
        assert not enable.is_its_own(there, "one-8")
        assert enable.is_its_own(pool, "one-8"), "an image that is somebody's"


class Killed(Exception):
    pass


class DiesAmid(Wrapped):
    """An image whose user is killed when Ceph has added the journal and does not mirror yet."""

    def mirror_image_enable(self, _: int) -> None:
        self.image.update_features(rbd.RBD_FEATURE_JOURNALING, True)
        raise Killed


def test_a_journal_that_a_killed_beginning_left_goes_with_the_rest(ceph_bed: Bed) -> None:
    with pool_of(ceph_bed, "site-a") as pool:
        pool.rbd.create(pool.io, "one-9", 8 << 20, old_format=False)
        with pool.image("one-9") as image:
            before = image.features()
            with pytest.raises(Killed):
                mirroring.enable_mirroring(pool, DiesAmid(image), Mode.JOURNAL)
            assert image.features() != before
        with pool.image("one-9") as image:
            mirroring.enable_mirroring(pool, image, Mode.JOURNAL)
        contents.strip_image(pool, "one-9")
        with pool.image("one-9", read_only=True) as image:
            assert image.features() == before
            assert not list(image.metadata_list())


def follows(there: Pool, name: str) -> bool:
    try:
        with there.image(name, read_only=True) as image:
            return dict(image.metadata_list()).get("onedr.test") == "again"
    except rbd.ImageNotFound:
        return False
