"""Once a night, at the standby, whatever the time zone, and however often the keeper looks."""
from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from onedr.model.types import Role, Settings
from onedr.protection.rehearsal_rules import is_due, night_began

ON = Settings(protect=True)
MOMENTS = st.floats(1e9, 4e9)
OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: quarters * 900)


@given(MOMENTS, OFFSETS)
def test_the_night_began_within_a_day_at_two(now: float, offset_s: int) -> None:
    began = night_began(now, offset_s)
    assert 0 <= now - began < 86400
    assert abs((began + offset_s) % 86400 - 7200) < 1e-3


@given(MOMENTS, OFFSETS, st.floats(0, 86400))
def test_after_one_of_this_night_none_is_due_before_the_next(now: float, offset_s: int, later: float) -> None:
    assert is_due(ON, Role.SECONDARY, 1.0, now, offset_s)
    same_night = night_began(now + later, offset_s) <= now
    assert is_due(ON, Role.SECONDARY, now, now + later, offset_s) is not same_night
    assert is_due(ON, Role.SECONDARY, now, now + 86400, offset_s)


@given(MOMENTS, OFFSETS)
def test_a_turn_dated_ahead_keeps_none_away(now: float, offset_s: int) -> None:
    assert is_due(ON, Role.SECONDARY, now + 1, now, offset_s)


@given(MOMENTS, OFFSETS)
def test_the_first_one_is_at_night(now: float, offset_s: int) -> None:
    assert is_due(ON, Role.SECONDARY, 0.0, now, offset_s) is (now - night_began(now, offset_s) < 3 * 3600)


def test_only_at_the_standby_of_a_protected_datastore_that_wants_it() -> None:
    for settings, role in (
        (replace(ON, rehearse=False), Role.SECONDARY), (replace(ON, protect=False), Role.SECONDARY),
        (ON, Role.PRIMARY), (ON, Role.UNPROTECTED),
    ):
        assert not is_due(settings, role, 1.0, 1.7e9, 0)
