"""Which mirror snapshots the keeper takes, and which schedule an image has."""
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import mirror_schedule
from onedr.ceph.mirror_schedule import NoSchedulesError
from onedr.model.settings import duration, schedule_of, schedule_problem
from onedr.model.types import Mode, Settings
from onedr.protection import schedule_rules, snapshot_schedule

POINTS = st.dictionaries(st.sampled_from(["one-1", "one-2", "one-3"]), st.none() | st.floats(0, 20_000))
SETTINGS = Settings(protect=True, mode=Mode.SNAPSHOT, schedule="5m", rpo_s=3600)
SCHEDULES = st.builds("{}{}".format, st.integers(1, 99999), st.sampled_from("mhd"))


@given(st.integers(1, 500))
def test_a_manager_that_runs_schedules_must_miss_several_before_the_keeper_takes_one(minutes: int) -> None:
    alone, beside = (schedule_rules.patience_s(f"{minutes}m", runs) for runs in (False, True))
    assert alone == minutes * 60 and beside >= 3 * alone


@given(POINTS, st.floats(1, 5000), st.floats(5000, 10_000))
def test_late_is_what_is_known_to_be_old_or_dated_ahead(
    points: dict[str, float | None], patience: float, now: float
) -> None:
    by_name = {name: patience * (2 if name == "one-3" else 1) for name in points}
    found = schedule_rules.late(points, by_name, now)
    for name, point in points.items():
        assert (name in found) == (point is not None and (point <= now - by_name[name] or point > now))
        assert found.get(name, by_name[name]) == by_name[name]


@pytest.mark.parametrize(("own", "counts", "told"), [
    ("", "5m", ""), ("15m", "15m", ""), ("1h", "60m", ""), ("60m", "60m", ""), ("1m", "5m", "beyond"), ("1d", "60m", "beyond"),
    ("5m", "5m", ""), ("often", "5m", "cannot be read"), ("0m", "5m", "cannot be read"), ("\u0661m", "5m", "cannot be read"),
])
def test_an_images_own_schedule_counts_within_the_datastores_bounds(own: str, counts: str, told: str) -> None:
    image = (("DR_SCHEDULE", own),)
    assert schedule_of(SETTINGS, image) == counts
    assert told in schedule_problem(SETTINGS, image) and bool(schedule_problem(SETTINGS, image)) is bool(told)
    assert schedule_of(replace(SETTINGS, schedule=""), image) == ""


@given(SCHEDULES, SCHEDULES, st.integers(0, 10**7))
def test_no_users_schedule_costs_more_snapshots_than_the_datastores_nor_ages_beyond_the_objective(
    datastore: str, own: str, rpo_s: int
) -> None:
    counts = duration(schedule_of(replace(SETTINGS, schedule=datastore, rpo_s=rpo_s), (("DR_SCHEDULE", own),)))
    assert duration(datastore) <= counts <= max(rpo_s, duration(datastore))


class Manager:
    """Ceph's, with the schedules of images."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: dict[str, tuple[str, ...]] = {"one-1": ("5m",), "one-2": ("1h",), "one-3": ("5m", "1d")}
        self.calls: list[str] = []
        self.runs = True
        patch.setattr(snapshot_schedule, "schedules", self.schedules)
        patch.setattr(snapshot_schedule, "add_schedule", self.add)
        patch.setattr(snapshot_schedule, "remove_schedules", self.remove)

    def schedules(self, _: object) -> dict[str, tuple[str, ...]]:
        if not self.runs:
            raise NoSchedulesError("no")
        return dict(self.found)

    def add(self, _: object, name: str, interval: str) -> None:
        self.calls.append(f"add {name} {interval}")
        self.found[name] = (*self.found.get(name, ()), interval)

    def remove(self, _: object, name: str) -> None:
        self.calls.append(f"remove {name}")
        del self.found[name]


def test_each_image_gets_its_schedule_and_what_is_right_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    manager, pool = Manager(monkeypatch), Any
    own = {"one-2": (("DR_SCHEDULE", "60m"),), "one-4": (("DR_SCHEDULE", "20m"),)}
    names = {"one-1", "one-2", "one-3", "one-4"}
    assert snapshot_schedule.set_schedules(pool, SETTINGS, own, names)  # type: ignore[arg-type]
    assert manager.calls == ["remove one-3", "add one-3 5m", "add one-4 20m"]
    assert snapshot_schedule.set_schedules(pool, SETTINGS, own, names)  # type: ignore[arg-type]
    assert len(manager.calls) == 3
    manager.runs = False
    assert not snapshot_schedule.set_schedules(pool, SETTINGS, own, names)  # type: ignore[arg-type]


def test_the_managers_list_is_read_with_all_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b'{"2/5/ab": {"name": "one/one-1", "schedule": [{"interval": "1h", "start_time": null}, {"interval": "1d"}]}}'
    monkeypatch.setattr(mirror_schedule, "_ask", lambda *_, **__: text)
    pool: Any = type("Pool", (), {"access": type("Access", (), {"pool": "one"})})
    assert mirror_schedule.schedules(pool) == {"one-1": ("1h", "1d")}
