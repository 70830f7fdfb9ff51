"""Which actions a page offers: each is one that the driver knows, and none that cannot be meant."""
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.document.action_rules import NAME, PLANNED, Situation, allowed, hint
from onedr.driver import start_action, verbs
from onedr.model.types import PeerState, State

SITUATIONS = st.builds(
    Situation, st.sampled_from(State), st.sampled_from(PeerState),
    st.sampled_from(["", "move", "failover", "drill", "reprotect", "guard", "enable", "map"]),
    st.sampled_from(["", "failback", "failover", "drill", "reprotect", "disable"]), st.booleans(), st.booleans(),
    st.booleans(),
)


def words(seen: Situation) -> list[str]:
    return [each.action for each in allowed(seen)]


@given(SITUATIONS)
def test_each_is_an_action_of_the_driver_and_says_what_it_does(seen: Situation) -> None:
    for each in allowed(seen):
        assert each.action.lower() in start_action.VERBS
        assert each.text.endswith(".")
        assert each.plan == (each.action in PLANNED)


@given(SITUATIONS)
def test_what_may_lose_something_is_confirmed_by_name(seen: Situation) -> None:
    for each in allowed(seen):
        gives_up = each.action == "REPROTECT" and seen.state is State.SPLIT_BRAIN
        assert (each.confirm == NAME) == (each.action == "FAILOVER" or gives_up)


@given(SITUATIONS)
def test_while_a_run_is_in_progress_it_can_be_stopped_and_nothing_else_begins(seen: Situation) -> None:
    if seen.running:
        assert set(words(seen)) <= {"CANCEL"}
        assert not hint(seen)


@pytest.mark.parametrize(("seen", "expected"), [
    (Situation(State.STANDBY, PeerState.ANSWERS), ["MOVE", "FAILOVER", "DRILL"]),
    (Situation(State.STANDBY, PeerState.ANSWERS, away=True), ["FAILBACK", "FAILOVER", "DRILL"]),
    (Situation(State.STANDBY, PeerState.ANSWERS, drilled=True), ["MOVE", "FAILOVER", "DRILL_CLEANUP"]),
    (Situation(State.STANDBY, PeerState.GONE), ["FAILOVER"]),
    (Situation(State.STANDBY, PeerState.UNKNOWN, drilled=True), ["FAILOVER", "DRILL_CLEANUP"]),
    (Situation(State.RETURNED, PeerState.ANSWERS), ["REPROTECT"]),
    (Situation(State.SPLIT_BRAIN, PeerState.ANSWERS), ["REPROTECT"]),
    (Situation(State.INTERRUPTED, PeerState.ANSWERS, interrupted="move"), ["RESUME", "ABORT"]),
    (Situation(State.INTERRUPTED, PeerState.ANSWERS, interrupted="failover", promoted=True), ["RESUME"]),
    (Situation(State.INTERRUPTED, PeerState.ANSWERS, interrupted="reprotect"), ["RESUME"]),
    (Situation(State.INTERRUPTED, PeerState.ANSWERS, interrupted="drill"), ["DRILL_CLEANUP", "FAILOVER"]),
    (Situation(State.FAILING_OVER, PeerState.ANSWERS, running="failover"), ["CANCEL"]),
    (Situation(State.RETURNED, PeerState.ANSWERS, running="guard"), []),
    (Situation(State.PROTECTED, PeerState.ANSWERS), []),
    (Situation(State.ACTIVE_UNPROTECTED, PeerState.GONE), []),
])
def test_table(seen: Situation, expected: list[str]) -> None:
    assert words(seen) == expected


@pytest.mark.parametrize("state", [state for state in State if not words(Situation(state, PeerState.ANSWERS))])
def test_where_nothing_is_offered_the_page_says_where(state: State) -> None:
    runs = (State.FAILING_OVER, State.FAILING_BACK, State.REPROTECTING, State.DRILLING, State.INTERRUPTED)
    assert bool(hint(Situation(state, PeerState.ANSWERS))) == (state not in runs)


def test_every_word_of_dr_plan_has_a_dry_run() -> None:
    assert {word.lower() for word in PLANNED} <= verbs.VERBS.keys()


def test_each_word_of_dr_plan_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs/attributes.md").read_text()
    line = next(line for line in page.split("\n- ") if line.startswith("`DR_PLAN`"))
    assert all(f"`{word}`" in line for word in PLANNED)
