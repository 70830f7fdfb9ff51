"""The plots: what is drawn where."""
from __future__ import annotations

from typing import Any

import pytest
import reports
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.seen import AgeSeen
from onedr.protection.age_history import SLOT_S
from onedr.report import plots
from onedr.runs.journal_entry import StepsDone

NOW = reports.NOW


def seen(ago_s: float, age_s: float | None = 5.0) -> AgeSeen:
    return AgeSeen(NOW - ago_s, age_s, 900, 1, 1)


def fills(svg: Any) -> dict[str, int]:
    found = [rect.get("fill") for rect in svg.iter("rect")]
    return {color: found.count(color) for color in set(found)}


@pytest.mark.parametrize(("ages", "drawn"), [
    (reports.ages(), {plots._UNSEEN: 1, plots._NO_COPY: 1}), ((seen(600), seen(1200)), {plots._UNSEEN: 2}), ((), {plots._UNSEEN: 1}),
])
def test_what_is_not_known_is_a_band_and_no_curve(ages: tuple[AgeSeen, ...], drawn: dict[str, int]) -> None:
    assert fills(plots.ages(ages, 900, NOW)) == drawn


def test_the_worst_of_a_part_counts_and_an_unknown_age_is_worse() -> None:
    begin = NOW - 7 * 86400
    made = plots.bins((seen(90_000, 4.0), seen(90_000 - SLOT_S, 80.0), seen(5000, None), seen(5000, 3.0)), begin, NOW)
    ages = [part.age_s for part in made if part.seen]
    assert 80.0 in ages and None in ages and len([part for part in made if part.seen]) <= 4


@given(st.lists(st.tuples(st.floats(0, 8 * 86400), st.none() | st.floats(0, 1e7)), max_size=30), st.integers(0, 10**6))
def test_whatever_was_noted_nothing_is_drawn_beside_the_plot(noted: list[tuple[float, float | None]], objective: int) -> None:
    made = plots.ages([seen(*one) for one in noted], objective, NOW)
    for element in made.iter("line", "rect", "text"):
        for name in ("x", "x1", "x2", "width"):
            value = element.get(name, "0%")
            assert value == "0" or 0 <= float(value.rstrip("%")) <= 100.001, (name, value)
        for name in ("y", "y1", "y2"):
            assert 0 <= float(element.get(name, "0")) <= plots._TOP + plots._HIGH + plots._FOOT


def test_regular_passes_leave_no_gap_whenever_the_worst_of_ten_minutes_was() -> None:
    early, late = [(slot * SLOT_S + offset) for slot, offset in ((0, 1), (1, SLOT_S - 1))]
    begin = NOW // SLOT_S * SLOT_S - 6 * 3600
    made = plots.bins([AgeSeen(begin + early, 1, 9, 1, 1), AgeSeen(begin + late, 1, 9, 1, 1)], begin, begin + 6 * 3600)
    assert all(part.seen for part in made[:int(2 * SLOT_S / (6 * 3600) * len(made))])


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=60), st.none() | st.floats(0, 1e5))
def test_bars_stay_within_the_chart(steps: list[tuple[float, float]], took_s: float | None) -> None:
    done = [StepsDone("start", NOW + at, 1, {"vm": lasts}) for at, lasts in steps]
    bars = [rect for rect in plots.steps(done, NOW, took_s).iter("rect") if rect.get("fill") == plots._AGE]
    assert len(bars) == min(len(done), plots._MOST_BARS)
    for bar in bars:
        assert float(bar.get("x").rstrip("%")) + float(bar.get("width").rstrip("%")) <= 100.5


def test_a_bar_begins_when_the_step_began_and_ends_with_its_last_item() -> None:
    done = [StepsDone("promote", NOW + 25, 2, {"one": 10.0, "two": 50.0})]
    _, bar = plots.steps(done, NOW, 100.0).iter("rect")
    assert (bar.get("x"), bar.get("width")) == ("25.000%", "50.000%")


@pytest.mark.parametrize(("seconds", "told"), [(0, "0 s"), (119, "119 s"), (900, "15 min"), (9000, "2.5 h"), (200000, "2.31 d")])
def test_durations_have_the_unit_that_fits(seconds: float, told: str) -> None:
    assert plots.age_text(seconds) == told
