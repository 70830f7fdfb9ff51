"""What is read of many images at once is what librbd says of each (docs/ceph-facts.md C57)."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import rbd

from onedr.ceph import connection, disk_snapshots, image_scan, journal_end, journal_events, mirroring, omap
from onedr.ceph.connection import Pool
from onedr.ceph.journal_end import JournalEnd
from onedr.model.errors import OneDRError
from onedr.model.records import Mark
from onedr.model.types import CephAccess, Mode
from onedr.replication import image_view, records
from onedr.replication.image_view import ImageView
from sandbox.waiting import until

if TYPE_CHECKING:
    from sandbox.bed import Bed

MARK = "onedr.test"
SIZE = 4 << 20
MANY = 1100  # more than one request gives
TRASHED_PARENT = "one-8-7-0"  # whose name only librbd finds out
COPIED = {"one-2": Mode.JOURNAL, "one-3": Mode.SNAPSHOT, "one-4": Mode.JOURNAL, "one-4-7-0": Mode.JOURNAL,
          "one-10": Mode.JOURNAL, "one-11": Mode.SNAPSHOT}

Views = Mapping[str, object]


@dataclass(frozen=True)
class Pair:
    here: Pool
    there: Pool


@contextmanager
def at(bed: Bed, site: str) -> Iterator[Pool]:
    with connection.connect(CephAccess("one", "oneadmin", str(bed.sites[site].ceph_conf))) as pool:
        pool.cluster.conf_set("rbd_default_clone_format", "2")
        yield pool


def create(pool: Pool, name: str) -> None:
    pool.rbd.create(pool.io, name, SIZE, old_format=False)
    with pool.image(name) as image:
        image.metadata_set("onedr.test.name", name)


def clone(pool: Pool, base: str, name: str) -> None:
    create(pool, base)
    with pool.image(base) as image:
        image.create_snap("snap")
    pool.rbd.clone(pool.io, base, "snap", pool.io, name)


def mirror(pool: Pool, name: str, mode: Mode) -> None:
    with pool.image(name) as image:
        mirroring.enable_mirroring(pool, image, mode)
        image.metadata_set(MARK, "1")
        mirroring.publish_changes(pool, image)


@pytest.fixture(scope="module")
def pair(ceph_bed: Bed) -> Iterator[Pair]:
    with at(ceph_bed, "site-a") as here, at(ceph_bed, "site-b") as there:
        furnish(here)
        for name in ("one-2", "one-3", "one-4", "one-10", "one-11"):
            mirror(here, name, COPIED[name])
        until("the base's snapshot at the peer", lambda: has_snapshot(there, "one-4"), 90)
        mirror(here, "one-4-7-0", Mode.JOURNAL)
        until("all copies", lambda: all(has_mark(there, name) for name in COPIED), 120)
        yield Pair(here, there)


def furnish(here: Pool) -> None:
    for name in ("one-1", "one-2", "one-3", "one-6", "one-7", "one-10", "one-11"):
        create(here, name)
    for base in ("one-4", "one-5", "one-8"):
        clone(here, base, f"{base}-7-0")
    with here.image("one-1") as image:
        image.create_snap("of a user")
        image.create_snap("3")
        image.metadata_set("ü", "ä\n{}")
    with here.image("one-5-7-0") as image:
        image.create_snap("before it was flattened")
        image.flatten()
    with here.image("one-6") as image:
        for number in range(MANY):
            image.metadata_set(f"key{number}", "x")
    here.rbd.group_create(here.io, "g")
    group = rbd.Group(here.io, "g")
    group.add_image(here.io, "one-7")
    group.create_snap("s")
    here.rbd.trash_move(here.io, "one-8", 0)


def has_snapshot(pool: Pool, name: str) -> bool:
    try:
        with pool.image(name, read_only=True) as image:
            return "snap" in [snapshot["name"] for snapshot in image.list_snaps()]
    except rbd.ImageNotFound:
        return False


def has_mark(pool: Pool, name: str) -> bool:
    found = image_view.open_view(pool, name)
    return found is not None and found.mode is not None and MARK in found.metadata


def compare(pool: Pool, left_to_librbd: set[str]) -> dict[str, ImageView]:
    """What is read at once, after it was compared with librbd's answers on each image and on the pool."""
    names = pool.names()
    assert set(image_scan.scan(pool, names, 30)) == set(names) - left_to_librbd
    found, opened = both_ways(pool, names)
    assert found == opened
    by_id = {str(entry["id"]): str(entry["name"]) for entry in pool.rbd.list2(pool.io)}
    listed = {
        by_id[image_id]: (info["global_id"], info["primary"])
        for image_id, info in pool.rbd.mirror_image_info_list(pool.io)
    }
    assert image_scan.scan_roles(pool, 30) == listed
    numbered = {name for name in names if disk_snapshots.numbered(pool, name)}
    assert disk_snapshots.without_numbered(pool, names) == set(names) - numbered
    return {name: view for name, view in found.items() if isinstance(view, ImageView)}


def both_ways(pool: Pool, names: list[str]) -> tuple[dict[str, ImageView | OneDRError | None], Views]:
    """Read at once, and by librbd, between two looks of librbd that were equal: rbd-mirror is at work and takes
    snapshots of its own.
    """
    for _ in range(10):
        before = {name: image_view.open_view(pool, name) for name in names}
        found = image_view.read_views(pool, names)
        opened = {name: image_view.open_view(pool, name) for name in names}
        if before == opened:
            return found, opened
    raise AssertionError("images changed under each of ten looks")


def test_everything_that_a_primary_site_may_hold_is_as_librbd_says(pair: Pair) -> None:
    found = compare(pair.here, {TRASHED_PARENT})
    assert {name: found[name].mode for name in COPIED} == COPIED and all(view.primary for view in found.values())
    assert found["one-4-7-0"].parent == "one-4" and found["one-5-7-0"].parent is None
    assert found["one-1"].metadata["ü"] == "ä\n{}" and len(found["one-6"].metadata) == MANY + 1
    assert found[TRASHED_PARENT].parent == "one-8"
    assert disk_snapshots.numbered(pair.here, "one-1") == {"3"}


def test_copies_are_as_librbd_says(pair: Pair) -> None:
    found = compare(pair.there, set())
    assert {name: found[name].mode for name in COPIED} == COPIED and not any(found[name].primary for name in COPIED)
    assert found["one-3"].syncs and all(found["one-3"].syncs) and found["one-4"].snapshots == ("snap",)


def test_the_end_of_a_journal_shows_whether_anything_followed_a_mark(pair: Pair) -> None:
    with pair.here.image("one-2") as image:
        image_id, before = str(image.id()), end_of(pair.here, "one-2")
        mark = records.write_mark(image, Mark(1.5, True))
        marked = end_of(pair.here, "one-2")
        assert is_last(pair.here, image_id, before, marked, mark)
        image.read(0, 16)
        until("the mark at the peer", lambda: mark in metadata_of(pair.there, "one-2"), 60)
        assert end_of(pair.here, "one-2") == marked, "reading and replication append nothing"
        changes: tuple[Callable[[], Any], ...] = (
            lambda: image.write(b"x", 0), lambda: image.discard(0, SIZE), lambda: image.create_snap("later"),
            lambda: image.resize(SIZE + 4096), lambda: image.metadata_set("onedr.test.later", "1"),
        )
        for change in changes:
            last = end_of(pair.here, "one-2")
            change()
            image.flush()
            assert end_of(pair.here, "one-2") != last
            assert not is_last(pair.here, image_id, before, end_of(pair.here, "one-2"), mark)
        mark = records.write_mark(image, Mark(2.5, True))
        assert is_last(pair.here, image_id, marked, end_of(pair.here, "one-2"), mark)
    with pair.here.image("one-2") as image:  # another client
        last = end_of(pair.here, "one-2")
        image.write(b"y", 0)
    assert end_of(pair.here, "one-2") != last
    snapshotted = image_view.open_view(pair.here, "one-3")
    assert snapshotted and journal_end.read_ends(pair.here, [snapshotted.rbd_id, "gone"], 10) == {}


def end_of(pool: Pool, name: str) -> JournalEnd:
    view = image_view.open_view(pool, name)
    assert view is not None
    return journal_end.read_ends(pool, [view.rbd_id], 10)[view.rbd_id]


def is_last(pool: Pool, image_id: str, before: JournalEnd, after: JournalEnd, mark: str) -> bool:
    tails = journal_end.read_tails(pool, {image_id: (before, after)}, 10)
    return journal_events.ends_with(tails[image_id], records.MARK_KEY, mark)


def metadata_of(pool: Pool, name: str) -> set[str]:
    view = image_view.open_view(pool, name)
    return set(view.metadata.values()) if view else set()


def test_roles_are_right_after_demotions_and_promotions(pair: Pair) -> None:
    for name in ("one-10", "one-11"):
        with pair.here.image(name) as image:
            image.mirror_image_demote()
    with pair.there.image("one-2") as image:
        image.mirror_image_promote(True)
    here, there = compare(pair.here, {TRASHED_PARENT}), compare(pair.there, set())
    assert not here["one-10"].primary and not here["one-11"].primary
    assert here["one-2"].primary and there["one-2"].primary


def test_an_image_that_is_gone_is_none_and_hides_no_other(pair: Pair) -> None:
    found = image_view.read_views(pair.here, ["one-1", "one-gone"])
    assert found["one-gone"] is None and isinstance(found["one-1"], ImageView)


def test_an_image_that_is_unknown_to_the_scan_is_opened(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = image_view.read_views(pair.here, COPIED)
    monkeypatch.setattr(omap, "read_many", lambda *_, **__: {})
    assert image_scan.scan(pair.here, COPIED, 30) == {} and image_scan.scan_roles(pair.here, 30) is None
    assert image_view.read_views(pair.here, COPIED) == wanted
    assert mirroring.roles(pair.here)["one-3"].primary
