"""First copies take turns outside DR_COPY_WINDOW; in it, and without one, none waits."""
from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_omap import one_omap

from onedr.ceph import images, mirroring, omap
from onedr.model.types import Settings
from onedr.replication import copy_rules, copy_turns, mirror_image

NIGHT = Settings(protect=True, copy_window=(22 * 60, 6 * 60), copies_outside=2)
DAY, AT_NIGHT = 12 * 60, 23 * 60
MINUTES = st.integers(0, 1439)
WINDOWS = st.tuples(MINUTES, MINUTES).filter(lambda window: window[0] != window[1])


@given(WINDOWS, MINUTES)
def test_a_minute_is_in_a_window_or_in_the_rest_of_the_day(window: tuple[int, int], minute: int) -> None:
    assert copy_rules.is_inside(window, minute) is not copy_rules.is_inside(window[::-1], minute)
    assert copy_rules.is_inside(window, window[0]) and not copy_rules.is_inside(window, window[1])
    inside = sum(copy_rules.is_inside(window, each) for each in range(0, 1440))
    assert inside + copy_rules.outside_min(window) == 1440


@pytest.mark.parametrize(("settings", "minute", "limit"), [
    (Settings(), DAY, None), (NIGHT, AT_NIGHT, None), (NIGHT, 5 * 60 + 59, None), (NIGHT, 6 * 60, 2),
    (NIGHT, DAY, 2), (replace(NIGHT, copies_outside=0), DAY, 0),
])
def test_so_many_at_once(settings: Settings, minute: int, limit: int | None) -> None:
    assert copy_rules.at_once(settings, minute) == limit


class Ceph:
    """A pool; what of it is mirrored."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.turns, self.mirrored, self.minute = one_omap(patch), set[str](), DAY
        self.access, self.is_broken = SimpleNamespace(pool="one"), False
        patch.setattr(omap, "list_keys", lambda *_: sorted(self.turns))
        patch.setattr(omap, "read_all", lambda *_: dict(self.turns))
        patch.setattr(omap, "drop_keys", lambda _, __, key: self.turns.pop(key))
        patch.setattr(copy_turns, "minute_now", lambda: self.minute)
        patch.setattr(mirroring, "roles", lambda _: dict.fromkeys(self.mirrored))
        patch.setattr(mirroring, "pool_ready", lambda _: "")
        patch.setattr(mirroring, "mirror_mode", lambda image: "JOURNAL" if image.name in self.mirrored else None)
        patch.setattr(mirroring, "enable_mirroring", lambda _, image, __: self.mirrored.add(image.name))
        patch.setattr(images, "is_incomplete", lambda *_: False)
        patch.setattr(mirror_image, "mirror_identity", lambda _: SimpleNamespace(is_own=True, values={}, parent=None))
        for name in ("parent_of", "write_identity", "_sign_records"):
            patch.setattr(mirror_image, name, lambda _: None)
        patch.setattr(mirror_image, "note_problem", lambda *_: None)

    @contextmanager
    def image(self, name: str, read_only: bool = False) -> Any:
        yield SimpleNamespace(name=name)

    def protect(self, *names: str, settings: Settings = NIGHT) -> list[str | None]:
        return [mirror_image.protect_image(self, name, settings) for name in names]  # type: ignore[arg-type]

    def settle(self, *complete: str, since: float = 4e9) -> None:
        copy_turns.settle(self, NIGHT, complete, since)  # type: ignore[arg-type]


@pytest.fixture
def ceph(monkeypatch: pytest.MonkeyPatch) -> Ceph:
    return Ceph(monkeypatch)


def test_outside_the_window_the_third_waits_and_the_reason_says_until_when(ceph: Ceph) -> None:
    first, second, third = ceph.protect("one-1", "one-2", "one-3")
    assert (first, second) == (None, None) and ceph.mirrored == {"one-1", "one-2"}
    assert third and "22:00-06:00" in third and "not protected" in third and copy_rules.WAITS in third


def test_a_complete_copy_gives_its_turn_to_the_next(ceph: Ceph) -> None:
    ceph.protect("one-1", "one-2")
    ceph.settle()
    assert ceph.protect("one-3") != [None]
    ceph.settle("one-1")
    assert ceph.protect("one-3") == [None] and ceph.protect("one-4") != [None]


def test_so_does_an_image_that_is_gone_unless_it_is_only_begun(ceph: Ceph) -> None:
    ceph.protect("one-1", "one-2")
    ceph.mirrored.clear()
    ceph.settle(since=0.0)
    assert set(ceph.turns) == {"one-1", "one-2"}
    ceph.settle()
    assert not ceph.turns


def test_one_that_has_its_turn_is_asked_again_without_another(ceph: Ceph) -> None:
    ceph.protect("one-1", "one-2")
    ceph.mirrored.clear()  # the first try failed
    assert ceph.protect("one-1", "one-2") == [None, None]


def test_in_the_window_and_without_one_none_waits(ceph: Ceph) -> None:
    assert ceph.protect(*(f"one-{number}" for number in range(9)), settings=Settings(protect=True)) == [None] * 9
    assert not ceph.turns, "nothing is noted where nothing is asked for"
    ceph.minute = AT_NIGHT
    assert ceph.protect(*(f"two-{number}" for number in range(9))) == [None] * 9
    ceph.minute = DAY
    assert ceph.protect("two-10") != [None], "those of the night count by day"


def test_what_is_mirrored_already_never_waits(ceph: Ceph) -> None:
    ceph.protect("one-1", "one-2")
    assert ceph.protect("one-1") == [None]
