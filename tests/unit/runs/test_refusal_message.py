"""How long DR_MESSAGE shows why an action was refused."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.runs.refusal_message import SHOWN_S, is_still_shown, refusal_message

NOW = 1_790_000_000.0


@given(st.text(), st.integers(0, SHOWN_S - 1))
def test_a_refusal_is_shown_for_a_while(reason: str, age: int) -> None:
    assert is_still_shown(refusal_message(reason, NOW), NOW + age)


@pytest.mark.parametrize("later", [SHOWN_S + 2, -120])
def test_then_the_state_is_shown_again(later: int) -> None:
    assert not is_still_shown(refusal_message("no", NOW), NOW + later)


@given(st.text())
def test_other_messages_never_hide_the_state(message: str) -> None:
    assert not is_still_shown(message, NOW)


def test_a_date_that_is_none_hides_nothing() -> None:
    assert not is_still_shown("Refused at 2026-13-41 25:61:61Z: no", NOW)
