"""A VM's disk with a locked point in time is not removed."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rbd

from onedr.ceph import group_snapshots
from onedr.ceph.connection import Pool
from onedr.ceph.group_snapshots import GroupSnapshot
from onedr.driver import tm
from onedr.model.errors import RefusedError
from onedr.model.records import PointNote
from onedr.replication import points

SNAPSHOT = ".group.2_a_b"


def pool_with(note: PointNote) -> Pool:
    text = points.encode("fsid", {SNAPSHOT: note}, None, 1.0)
    image = SimpleNamespace(metadata_list=lambda: [(points.KEY, text)])

    @contextmanager
    def opened(name: str, read_only: bool = False) -> Iterator[Any]:
        if name != "one-1-7-0":
            raise rbd.ImageNotFound("no")
        assert read_only
        yield image

    return cast(Pool, SimpleNamespace(image=opened, access=SimpleNamespace(pool="one")))


def test_one_with_a_locked_point_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_snapshots, "of_image", lambda _: [GroupSnapshot(4, SNAPSHOT, False)])
    with pytest.raises(RefusedError, match="one/one-1-7-0 is not removed: a point in time of it is locked until 2"):
        tm._is_free(pool_with(PointNote(1.0, 0.1, "", time.time() + 60)), "one-1-7-0")
    for free in (PointNote(1.0, 0.1, "pinned"), PointNote(1.0, 0.1, "", time.time() - 1)):
        assert tm._is_free(pool_with(free), "one-1-7-0")


def test_one_that_is_gone_has_no_lock() -> None:
    assert not tm._is_free(pool_with(PointNote(1.0, 0.1)), "one-2-7-0")
