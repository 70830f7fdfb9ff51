"""In snapshot mode nothing is promoted beside an rbd-mirror that is at work."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import rbd

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.failover import promote as failover_promote
from onedr.model.types import Mode


class Copy:
    """A copy that rbd-mirrors at `watchers` work on; what is done is noted in order."""

    def __init__(self, done: list[str], *watchers: str):
        self.done, self.watchers, self.promoted = done, watchers, False

    def mirror_image_get_info(self) -> dict[str, Any]:
        return {"global_id": "g", "state": rbd.RBD_MIRROR_IMAGE_ENABLED, "primary": self.promoted}

    def id(self) -> str:
        return "abc"

    def list_snaps(self) -> list[dict[str, Any]]:
        self.done.append("looked at")
        return []

    def watchers_list(self) -> Iterator[dict[str, Any]]:
        return iter([{"addr": address, "id": number} for number, address in enumerate(self.watchers)])

    def mirror_image_promote(self, force: bool) -> None:
        if not force:
            raise rbd.ImageBusy("the peer is primary", errno=16)
        self.done.append("promoted")
        self.promoted = True


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    noted: list[str] = []
    monkeypatch.setattr(failover_promote, "_cut", {})
    monkeypatch.setattr(mirroring, "blocklist", lambda pool, address, seconds: noted.append(f"cut {address}"))
    return noted


def pool_with(image: Copy) -> Pool:
    @contextmanager
    def opened(name: str, read_only: bool = False) -> Iterator[Copy]:
        yield image

    return cast(Pool, SimpleNamespace(image=opened))


@pytest.mark.parametrize("mode", [Mode.SNAPSHOT, None])
def test_one_that_came_after_the_cut_is_cut_off_before_the_promotion_and_before_the_look_at_its_syncs(done: list[str], mode: Mode | None) -> None:
    how = failover_promote.promote(pool_with(Copy(done, "192.0.2.7:0/1")), "one-1", False, mode)
    assert (how, done) == ("promoted by force", ["cut 192.0.2.7:0/1", "looked at", "promoted"])


def test_what_was_cut_off_just_now_is_not_cut_off_for_each_image(done: list[str]) -> None:
    for number in range(3):
        failover_promote.promote(pool_with(Copy(done, "192.0.2.7:0/1")), f"one-{number}", False, Mode.SNAPSHOT)
    assert done == ["cut 192.0.2.7:0/1", *["looked at", "promoted"] * 3]


def test_where_none_is_left_nothing_is_cut(done: list[str]) -> None:
    failover_promote.promote(pool_with(Copy(done)), "one-1", False, Mode.SNAPSHOT)
    assert done == ["looked at", "promoted"]
