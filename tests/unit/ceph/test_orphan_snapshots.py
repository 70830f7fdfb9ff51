"""A promotion that hung does not keep the next one from rolling an unfinished sync back."""
from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rbd
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import mirroring, orphan_snapshots
from onedr.ceph.connection import Pool
from onedr.ceph.orphan_snapshots import Sync, hiding
from onedr.model.errors import StorageError

FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()))


def rolls_back(syncs: list[Sync]) -> bool:
    """Ceph's own rule: the newest mirror snapshot alone says whether a forced promotion rolls back."""
    return bool(syncs) and not syncs[-1].complete


@given(FLAGS)
def test_after_it_ceph_rolls_back_what_was_not_finished_and_nothing_else_changes(flags: list[tuple[bool, bool]]) -> None:
    syncs = [Sync(number, complete, orphan) for number, (complete, orphan) in enumerate(flags)]
    found = hiding(syncs)
    after = [each._replace(complete=each.complete and each.number not in found) for each in syncs]
    of_sites = [each for each in syncs if not each.orphan]
    if of_sites and not of_sites[-1].complete:
        assert rolls_back(after) and all(syncs[number].orphan for number in found)
    else:
        assert not found


class Copy:
    """A copy in snapshot mode. `deaf`: Ceph accepts the change and does not make it."""

    def __init__(self, *mirror: tuple[bool, str], deaf: bool = False):
        self.deaf, self.told = deaf, list[tuple[str, str, str]]()
        self.snaps = [
            {"id": 4 + at, "namespace": rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR, "name": ".mirror",
             "mirror": {"state": 2, "complete": complete, "primary_mirror_uuid": site}}
            for at, (complete, site) in enumerate(mirror)
        ]

    def id(self) -> str:
        return "abc"

    def list_snaps(self) -> list[dict[str, Any]]:
        return [*self.snaps, {"id": 90, "namespace": 0, "name": "a user's"}]

    def get_snap_timestamp(self, number: int) -> Any:
        return SimpleNamespace(replace=lambda tzinfo: SimpleNamespace(timestamp=lambda: 1000.0 + number))

    def execute(self, key: str, cls: str, method: str, data: bytes) -> None:
        self.told.append((key, cls, method))
        number, complete, _ = struct.unpack("<Q?Q", data)
        if not self.deaf:
            self.snaps[number - 4]["mirror"]["complete"] = complete


def pool_with(image: Copy) -> Pool:
    @contextmanager
    def opened(name: str, read_only: bool = False) -> Iterator[Copy]:
        assert read_only, "a copy cannot be opened to write"
        yield image

    return cast(Pool, SimpleNamespace(image=opened, io=image))


def test_an_orphan_behind_an_unfinished_sync_is_marked_as_unfinished() -> None:
    image = Copy((True, "there"), (False, "there"), (True, ""))
    assert orphan_snapshots.reveal(pool_with(image), "one-1") == 1
    assert image.told == [("rbd_header.abc", "rbd", "mirror_image_snapshot_set_copy_progress")]
    assert [snap["mirror"]["complete"] for snap in image.snaps] == [True, False, False]
    assert orphan_snapshots.reveal(pool_with(image), "one-1") == 0


@pytest.mark.parametrize("mirror", [
    ((True, "there"), (True, "")),  # all was here when it hung
    ((True, "there"), (False, "there")),  # no promotion was tried
    (),
])
def test_nothing_else_is_touched(mirror: tuple[tuple[bool, str], ...]) -> None:
    image = Copy(*mirror)
    assert orphan_snapshots.reveal(pool_with(image), "one-1") == 0 and not image.told


def test_a_change_that_was_not_made_stops_the_promotion() -> None:
    with pytest.raises(StorageError, match="one-1 holds a part of an unfinished sync"):
        orphan_snapshots.reveal(pool_with(Copy((True, "there"), (False, "there"), (True, ""), deaf=True)), "one-1")


def test_an_orphan_counts_as_no_sync() -> None:
    image = cast(rbd.Image, Copy((True, "there"), (False, "there"), (True, "")))
    assert mirroring.mirror_snapshots(image) == [(True, 1004), (False, 1005)]
