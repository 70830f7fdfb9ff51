"""docs/states.md is made from the same data as the verdicts."""
from __future__ import annotations

from pathlib import Path

from onedr.model import State
from onedr.policy.state import DESCRIPTIONS

PAGE = Path(__file__).parents[2] / "docs" / "states.md"


def test_every_state_is_described_and_the_page_says_the_same() -> None:
    assert set(DESCRIPTIONS) == set(State)
    page = PAGE.read_text()
    for state, text in DESCRIPTIONS.items():
        assert f"| `{state.value}` | {text} |" in page
