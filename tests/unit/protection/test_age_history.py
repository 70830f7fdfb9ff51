"""The history of recovery points: the worst of each ten minutes, never more than a ring holds."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_omap import one_omap
from samples import image

from onedr.ceph import omap
from onedr.model.seen import AgeSeen
from onedr.model.types import Settings
from onedr.protection import age_history, status
from onedr.protection.age_history import SLOT_S, SLOTS
from onedr.runs.state import ImageState

POOL: Any = None
NOW = 1_800_000_000.0  # a ten minutes begins


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    found = one_omap(monkeypatch)
    monkeypatch.setattr(
        omap, "read_all", lambda _, __, prefix="": {key: value for key, value in sorted(found.items()) if key.startswith(prefix)}
    )
    return found


def seen(at: float, age_s: float | None = 5.0, protected: int = 2) -> AgeSeen:
    return AgeSeen(at, age_s, 900, protected, 2)


@pytest.mark.parametrize(("first", "second", "stays"), [
    (seen(NOW, 5), seen(NOW + 60, 4), seen(NOW, 5)), (seen(NOW, 5), seen(NOW + 60, 6), seen(NOW + 60, 6)),
    (seen(NOW, 5), seen(NOW + 60, None), seen(NOW + 60, None)), (seen(NOW, None), seen(NOW + 60, 9), seen(NOW, None)),
    (seen(NOW, 5), seen(NOW + 60, 5, protected=1), seen(NOW + 60, 5, protected=1)),
])
def test_the_worst_of_ten_minutes_stays(kept: dict[str, bytes], first: AgeSeen, second: AgeSeen, stays: AgeSeen) -> None:
    age_history.note(POOL, 100, first)
    age_history.note(POOL, 100, second)
    assert age_history.history(POOL, 100, NOW + 120) == (stays,)


def test_each_ten_minutes_is_kept_in_order_and_by_datastore(kept: dict[str, bytes]) -> None:
    for at in (2, 0, 1):
        age_history.note(POOL, 100, seen(NOW + at * SLOT_S, float(at)))
    age_history.note(POOL, 10, seen(NOW, 77.0))
    assert [one.age_s for one in age_history.history(POOL, 100, NOW + 3 * SLOT_S)] == [0.0, 1.0, 2.0]
    assert [one.age_s for one in age_history.history(POOL, 10, NOW)] == [77.0]


def test_the_ring_never_grows_and_keeps_the_last_days(kept: dict[str, bytes]) -> None:
    for at in range(SLOTS + 300):
        age_history.note(POOL, 100, seen(NOW + at * SLOT_S, float(at)))
    found = age_history.history(POOL, 100, NOW + (SLOTS + 299) * SLOT_S)
    assert len(kept) == SLOTS and sum(len(value) for value in kept.values()) < 150_000
    assert [one.age_s for one in found] == [float(at) for at in range(300, SLOTS + 300)]


@given(st.floats(0, 4e9), st.floats(-1e7, 1e7))
def test_what_is_old_or_dated_ahead_is_not_shown(at: float, later: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        found = one_omap(patch)
        patch.setattr(omap, "read_all", lambda _, __, prefix="": found)
        age_history.note(POOL, 100, seen(at))
        shown = age_history.history(POOL, 100, at + later)
    assert bool(shown) == (-60 <= later <= SLOTS * SLOT_S)


@pytest.mark.parametrize(("points", "age"), [
    ([NOW - 4, NOW - 9], 9.0), ([NOW - 4, None], None), ([NOW + 3, NOW + 3], 0.0),
])
def test_a_pass_notes_the_oldest_point_or_that_one_is_missing(
    kept: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, points: list[float | None], age: float | None
) -> None:
    facts = [image(f"one-{number}", primary=True) for number in range(len(points))]
    by_name = dict(zip((fact.name for fact in facts), points))
    monkeypatch.setattr(status, "point_of", lambda fact, _: by_name[fact.name])
    items = [ImageState(fact.name, True, True, point is not None, None) for fact, point in zip(facts, points)]
    view: Any = SimpleNamespace(facts=facts, items=items)
    datastore: Any = SimpleNamespace(datastore_id=100, settings=Settings(rpo_s=60))
    age_history.look(POOL, datastore, view, NOW)
    (noted,) = age_history.history(POOL, 100, NOW)
    assert (noted.age_s, noted.objective_s, noted.total) == (age, 60, 2)
    assert noted.protected == sum(1 for point in points if point is not None)


def test_a_datastore_without_mirrored_images_notes_nothing(kept: dict[str, bytes]) -> None:
    view: Any = SimpleNamespace(facts=[image("one-1", mode=None, primary=True)], items=[])
    datastore: Any = SimpleNamespace(datastore_id=100, settings=Settings())
    age_history.look(POOL, datastore, view, NOW)
    assert not kept
