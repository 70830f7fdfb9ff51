"""The report of the night: one a night, the first at once, and again after one that did not come."""
from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
import rados
from hypothesis import given
from hypothesis import strategies as st
from one_omap import one_omap

from onedr.ceph import omap
from onedr.model.types import Settings
from onedr.protection import report_timer
from onedr.protection.report_timer import is_due

POOL: Any = None
MOMENTS = st.floats(1e9, 4e9)
OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: quarters * 900)
HOUR_S, DAY_S = 3600, 86400


@given(MOMENTS, OFFSETS, st.floats(0, 2 * DAY_S))
def test_after_one_the_next_comes_at_five(made: float, offset_s: int, later: float) -> None:
    assert is_due(0, 0, made, offset_s), "the first comes at once"
    five = (made + offset_s - 5 * HOUR_S) // DAY_S != (made + later + offset_s - 5 * HOUR_S) // DAY_S
    assert is_due(made, made, made + later, offset_s) is (five and later >= HOUR_S)


@given(MOMENTS, OFFSETS, st.floats(1, 3 * HOUR_S))
def test_one_that_did_not_come_is_tried_again_after_an_hour(now: float, offset_s: int, later: float) -> None:
    assert is_due(now, 0, now + later, offset_s) is (later >= HOUR_S)


@given(MOMENTS, OFFSETS, st.floats(1, 1e9))
def test_what_is_dated_ahead_holds_nothing_up(now: float, offset_s: int, ahead: float) -> None:
    assert is_due(now + ahead, now + ahead, now, offset_s)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    found: list[int] = []
    one_omap(monkeypatch)
    monkeypatch.setattr(report_timer, "start", found.append)
    return found


def datastore(**settings: Any) -> Any:
    return SimpleNamespace(datastore_id=100, settings=Settings(**settings))


def test_it_is_started_once_however_often_the_keeper_looks(started: list[int]) -> None:
    wanted = datastore(protect=True, report=True)
    for _ in range(5):
        report_timer.look(POOL, wanted)
    assert started == [100]
    report_timer.note_made(POOL, 100, time.time())
    report_timer.look(POOL, wanted)
    assert started == [100]


@pytest.mark.parametrize("settings", [{}, {"report": True}, {"protect": True}])
def test_it_is_made_only_where_it_is_asked_for(started: list[int], settings: dict[str, Any]) -> None:
    report_timer.look(POOL, datastore(**settings))
    assert not started


@pytest.mark.parametrize("error", [OSError("no"), rados.ObjectNotFound("no")])
def test_a_failure_ends_no_pass(started: list[int], monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> dict[str, bytes]:
        raise error

    monkeypatch.setattr(omap, "read_keys", fail)
    report_timer.look(POOL, datastore(protect=True, report=True))
    assert not started
