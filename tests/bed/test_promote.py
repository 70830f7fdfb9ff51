"""A promotion in journal mode writes and proves itself by the journal alone; both are compared with librbd here."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import rbd
from wrapped import Wrapped

from onedr.ceph import connection, image_journal, mirroring, omap
from onedr.ceph.connection import Pool
from onedr.failover import promote as failover_promote
from onedr.model.errors import OneDRError
from onedr.model.records import Epoch
from onedr.model.types import CephAccess, Mode
from onedr.replication import epoch
from sandbox.waiting import until

if TYPE_CHECKING:
    from sandbox.bed import Bed

MARK = "onedr.test"


@contextmanager
def at(bed: Bed, site: str) -> Iterator[Pool]:
    with connection.connect(CephAccess("one", "oneadmin", str(bed.sites[site].ceph_conf))) as pool:
        yield pool


def seen(pool: Pool, name: str) -> tuple[bool, bool | None]:
    """Is it ours by librbd, and by its journal?"""
    with pool.image(name, read_only=True) as image:
        return mirroring.is_primary(image), image_journal.is_owned_here(pool, str(image.id()))


def mirrored(here: Pool, there: Pool, name: str) -> None:
    """Returns when the copy is complete and rbd-mirror follows: before, it may take a promoted copy back (docs/measured.md)."""
    here.rbd.create(here.io, name, 8 << 20, old_format=False)
    with here.image(name) as image:
        mirroring.enable_mirroring(here, image, Mode.JOURNAL)
        image.metadata_set(MARK, "1")

    def arrived() -> bool:
        try:
            with there.image(name, read_only=True) as copy:
                replayed = omap.read_all(there, f"journal.{copy.id()}", f"tag_{1:016x}")
                return MARK in dict(copy.metadata_list()) and bool(replayed)
        except rbd.ImageNotFound:
            return False

    until("a complete copy", arrived, 90)


def test_the_journal_says_what_librbd_says(ceph_bed: Bed) -> None:
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        mirrored(here, there, "one-1")
        assert (seen(here, "one-1"), seen(there, "one-1")) == ((True, True), (False, False))
        assert failover_promote.promote(there, "one-1", False, Mode.JOURNAL) == "promoted by force"
        assert (seen(here, "one-1"), seen(there, "one-1")) == ((True, True), (True, True))
        assert failover_promote.promote(there, "one-1", False, Mode.JOURNAL) == "was primary already"
        with here.image("one-1") as image:
            image.mirror_image_demote()
        assert seen(here, "one-1") == (False, False)
        with there.image("one-1") as image:
            image.write(b"x" * 512, 0)
        here.rbd.create(here.io, "one-2", 8 << 20, old_format=False)
        with here.image("one-2", read_only=True) as image:
            assert image_journal.is_owned_here(here, str(image.id())) is None, "it has no journal"


class Strict(Pool):
    """A Ceph that promotes nothing that was opened to read."""

    @contextmanager
    def image(self, name: str, read_only: bool = False) -> Iterator[Any]:
        with super().image(name, read_only) as image:
            yield Refusing(image) if read_only else image


class Refusing(Wrapped):
    def mirror_image_promote(self, _: bool) -> None:
        raise rbd.ReadOnlyImage("error promoting image to primary", errno=30)


def test_where_ceph_wants_it_opened_to_write_it_is(ceph_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        mirrored(here, there, "one-3")
        monkeypatch.setattr(image_journal, "is_owned_here", lambda *_: None)  # and its journal cannot be read
        strict = Strict(there.cluster, there.io, there.access)
        assert failover_promote.promote(strict, "one-3", False, Mode.JOURNAL) == "promoted by force"
        with there.image("one-3", read_only=True) as image:
            assert mirroring.is_mirrored_primary(image)


class Held(Pool):
    """A Ceph whose rbd-mirror keeps the lock of a promoted image until it is told of the journal again."""

    told = False

    @contextmanager
    def image(self, name: str, read_only: bool = False) -> Iterator[Any]:
        with super().image(name, read_only) as image:
            yield image if read_only or self.told else Locked(image)


class Locked(Wrapped):
    def metadata_set(self, *_: object) -> None:
        raise rbd.ReadOnlyImage("error setting metadata", errno=30)


def test_an_rbd_mirror_that_missed_the_promotion_is_told_again(ceph_bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        mirrored(here, there, "one-4")
        failover_promote.promote(there, "one-4", False, Mode.JOURNAL)
        held = Held(there.cluster, there.io, there.access)
        written = Epoch(1, there.fsid(), "site-b", 1.0, None)
        with monkeypatch.context() as patch:
            patch.setattr(failover_promote, "_LET_GO_S", 0)
            with pytest.raises(OneDRError, match="one-4 cannot be written: .* keeps its lock although it is promoted"):
                failover_promote.leave_term(held, "one-4", written)
        with there.image("one-4", read_only=True) as image:
            journal = f"journal.{image.id()}"
        with there.io.watch(journal, lambda *_: setattr(held, "told", True)):
            assert failover_promote.leave_term(held, "one-4", written) == "term 1"
        with there.image("one-4", read_only=True) as image:
            assert epoch.epoch_of(image) == written
