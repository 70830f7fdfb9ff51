"""Nothing is removed on the word of a clock that jumped."""
from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from onedr.replication.clock import Turn, judge_clock

DAY_S = 86400
BEFORE = Turn(1e9, "boot", 5000.0, True)
passed = st.floats(0, 30 * DAY_S)
jump = st.floats(120, 400 * DAY_S) | st.floats(-400 * DAY_S, -120)


@given(passed)
def test_a_clock_that_went_on_as_the_machine_did_is_believed(seconds: float) -> None:
    assert judge_clock(BEFORE, Turn(1e9 + seconds, "boot", 5000 + seconds), None)


@given(passed, jump)
def test_one_that_jumped_is_not_and_is_not_the_next_time_either(seconds: float, jumped: float) -> None:
    now = Turn(1e9 + seconds + jumped, "boot", 5000 + seconds)
    assert not judge_clock(BEFORE, now, None)
    later = replace(now, at=now.at + 300, up=now.up + 300)
    assert not judge_clock(now, later, None), "the jump is not forgotten"
    assert judge_clock(replace(now, sure=True), later, None)


@given(passed, jump)
def test_the_peers_clock_confirms_a_jump_only_if_it_says_the_same(seconds: float, jumped: float) -> None:
    now = Turn(1e9 + seconds + jumped, "boot", 5000 + seconds)
    assert judge_clock(BEFORE, now, now.at - 200)
    assert not judge_clock(BEFORE, now, now.at - 8 * DAY_S)


def test_a_first_turn_and_one_after_a_boot_need_the_peer() -> None:
    now = Turn(1e9 + 300, "boot 2", 20.0)
    assert not judge_clock(None, now, None) and not judge_clock(BEFORE, now, None)
    assert judge_clock(None, now, 1e9) and judge_clock(BEFORE, now, 1e9)
