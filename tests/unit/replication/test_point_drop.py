"""What the keeper found expired is removed, but not what was locked since it looked."""
from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from onedr.ceph import group_snapshots, mirroring
from onedr.ceph.connection import Pool
from onedr.model.records import PointNote
from onedr.replication import encryption, point_notes, points

OLD, LOCKED = ".group.2_a_b", ".group.2_a_c"


class Image:
    def __init__(self, notes: dict[str, PointNote]):
        self.values = {points.KEY: points.encode("fsid", notes, None, 1.0)}
        self.dropped: set[str] = set()

    def metadata_list(self) -> list[tuple[str, str]]:
        return list(self.values.items())

    def metadata_set(self, key: str, value: str) -> None:
        self.values[key] = value

    def get_name(self) -> str:
        return "one-1"


@contextmanager
def no_lock(*_: object) -> Iterator[None]:
    yield


def test_a_point_that_was_locked_in_between_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image({OLD: PointNote(1.0, 0.1), LOCKED: PointNote(2.0, 0.1, "", time.time() + 60)})

    @contextmanager
    def opened(_: str) -> Iterator[Any]:
        yield image

    def drop(_: Any, wanted: Collection[str]) -> None:
        image.dropped |= set(wanted)

    monkeypatch.setattr(point_notes, "image_lock", no_lock)
    monkeypatch.setattr(group_snapshots, "drop", drop)
    monkeypatch.setattr(mirroring, "is_primary", lambda _: True)
    monkeypatch.setattr(mirroring, "global_id", lambda _: "id")
    monkeypatch.setattr(encryption, "load_key", lambda _: None)
    pool = cast(Pool, SimpleNamespace(image=opened, fsid=lambda: "fsid"))
    point_notes.drop(pool, "one-1", {OLD, LOCKED})
    assert image.dropped == {OLD}
    assert points.decode(image.values[points.KEY], None).keys() == {LOCKED}
