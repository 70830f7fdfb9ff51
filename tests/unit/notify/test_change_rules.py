"""What is told of two looks, and what not: the same twice, a flood, what was never seen."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.types import State
from onedr.notify.change_rules import (
    AGAIN_S,
    HOUR_S,
    MOST_AN_HOUR,
    Notice,
    Seen,
    notices,
    to_tell,
    unread,
)

GOOD = Seen("PROTECTED", "All is well.", ended={"drill": (5.0, "DONE")})
AT = 1000.0


def told(before: Seen | None, now: Seen) -> list[tuple[str, str, str]]:
    found = notices({} if before is None else {"gold": before}, {"gold": now}, AT)
    return [(notice.kind, notice.severity, notice.text) for notice in found]


@pytest.mark.parametrize(("before", "now", "expected"), [
    (GOOD, GOOD, []),
    (None, GOOD, []),
    (None, replace(GOOD, state="SPLIT_BRAIN", message="Both."), [("state", "critical", "gold is SPLIT_BRAIN. Both.")]),
    (GOOD, replace(GOOD, state="DEGRADED", message="Late."),
     [("state", "critical", "gold is DEGRADED, it was PROTECTED. Late.")]),
    (replace(GOOD, state="DEGRADED"), GOOD, [("state", "info", "gold is PROTECTED, it was DEGRADED. All is well.")]),
    (GOOD, unread("Ceph is silent."), [("state", "critical", "gold is UNREAD, it was PROTECTED. Ceph is silent.")]),
    (unread("x"), GOOD, [("state", "info", "gold is PROTECTED, it was UNREAD. All is well.")]),
    (GOOD, replace(GOOD, late=True), [("late", "warning", "Copies of gold are older than its objective. All is well.")]),
    (replace(GOOD, late=True), GOOD, [("late", "info", "Copies of gold are young enough again. All is well.")]),
    (GOOD, replace(GOOD, run=("7-move", "move by me")), [("run", "info", "On gold began: move by me")]),
    (replace(GOOD, run=("7-move", "move by me")), GOOD, []),
    (GOOD, replace(GOOD, paused=True), [("paused", "warning", "Replication of gold is paused. All is well.")]),
    (replace(GOOD, paused=True), GOOD, [("paused", "info", "Replication of gold goes on. All is well.")]),
    (replace(GOOD, paused=True), replace(GOOD, paused=True), []),
    (replace(GOOD, paused=True), unread("x"), [("state", "critical", "gold is UNREAD, it was PROTECTED. x")]),
    (GOOD, replace(GOOD, ended={"drill": (9.0, "PARTIAL")}),
     [("run", "warning", "The drill of gold ended: PARTIAL. More: onedr history gold")]),
    (GOOD, replace(GOOD, ended={"drill": (5.0, "DONE"), "move": (6.0, "DONE")}),
     [("run", "info", "The move of gold ended: DONE. More: onedr history gold")]),
    (replace(GOOD, refused=("a",)), replace(GOOD, refused=("a", "b")),
     [("rehearsal", "warning", "A rehearsal of gold found that this site would not accept b.")]),
])
def test_what_is_told(before: Seen | None, now: Seen, expected: list[tuple[str, str, str]]) -> None:
    assert told(before, now) == expected


def test_a_datastore_that_is_gone_is_told_once() -> None:
    assert [notice.kind for notice in notices({"gold": GOOD}, {}, AT)] == ["gone"]
    assert notices({}, {}, AT) == []


SEEN = st.builds(
    Seen, state=st.sampled_from([*(state.value for state in State), "UNREAD"]), message=st.text(max_size=5),
    late=st.booleans(), run=st.sampled_from([("", ""), ("1-move", "m"), ("2-drill", "d")]),
    ended=st.dictionaries(st.sampled_from(["move", "drill"]), st.tuples(st.floats(0, 9), st.sampled_from(["DONE", "PARTIAL"]))),
)


@given(SEEN)
def test_nothing_is_told_where_nothing_changed(seen: Seen) -> None:
    assert told(seen, seen) == []


def notice(number: int, severity: str = "info") -> Notice:
    return Notice("gold", "state", severity, f"text {number}", AT)


def test_the_same_is_not_told_again_within_a_quarter_of_an_hour() -> None:
    first, lately = to_tell([notice(1)], [], AT)
    again, lately = to_tell([notice(1)], lately, AT + AGAIN_S - 1)
    later, _ = to_tell([notice(1)], lately, AT + AGAIN_S)
    assert (len(first), len(again), len(later)) == (1, 0, 1)


@given(st.lists(st.lists(st.integers(0, 100), max_size=60), max_size=8), st.lists(st.floats(0, 600), min_size=8, max_size=8))
def test_no_hour_has_more_than_so_many(turns: list[list[int]], pauses: list[float]) -> None:
    lately: list[tuple[float, str]] = []
    sent: list[float] = []
    at = AT
    for numbers, pause in zip(turns, pauses):
        at += pause
        found, lately = to_tell([notice(number) for number in numbers], lately, at)
        sent += [at] * len(found)
    for moment in sent:
        assert sum(1 for each in sent if moment - HOUR_S < each <= moment) <= MOST_AN_HOUR + 1


def test_no_flood_of_a_users_making_hides_that_a_datastore_is_split() -> None:
    """His images come and go: the state changes each time, with another text."""
    lately: list[tuple[float, str]] = []
    at, alarms = AT, []
    for number in range(100):
        at += 30
        flap = Seen("DEGRADED" if number % 2 else "PROTECTED", f"one-{number}")
        found, lately = to_tell(notices({"gold": replace(GOOD, state="COPYING")}, {"gold": flap}, at), lately, at)
        alarms += [each for each in found if each.state == "DEGRADED"]
    assert len(alarms) < 40
    found, lately = to_tell(notices({"gold": GOOD}, {"gold": replace(GOOD, state="SPLIT_BRAIN")}, at), lately, at)
    assert [each.state for each in found][:1] == ["SPLIT_BRAIN"]
    assert not to_tell(notices({"gold": GOOD}, {"gold": Seen("SPLIT_BRAIN", "more")}, at), lately, at + 60)[0]


def test_of_a_flood_what_is_critical_comes_first_and_the_rest_is_counted() -> None:
    flood = [*(notice(number) for number in range(50)), notice(99, "critical")]
    found, lately = to_tell(flood, [], AT)
    assert len(found) == MOST_AN_HOUR + 1 and found[0].text == "text 99"
    assert found[-1].text.startswith("21 more notice(s) are not told")
    assert to_tell([notice(200)], lately, AT + 60)[0] == [], "that they are left out is said once"
    assert len(to_tell([notice(200)], lately, AT + HOUR_S + 1)[0]) == 1
