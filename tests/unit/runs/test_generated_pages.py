"""docs/states.md and docs/steps.md are made from the same data as the verdicts and the plans."""
from __future__ import annotations

from pathlib import Path

from onedr.model.types import State
from onedr.runs.state import CODES, DESCRIPTIONS
from onedr.runs.step_docs import MEANINGS, shown_steps
from onedr.runs.steps import LIMITS_S, Step, StepKind

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "states.md"


def test_every_state_is_described_and_the_page_says_the_same() -> None:
    assert set(DESCRIPTIONS) == set(State)
    page = PAGE.read_text()
    for state, text in DESCRIPTIONS.items():
        assert f"| `{state.value}` | {text} |" in page
    for code, state in CODES.items():
        assert f"| `{code}` | `{state.value}` |" in page
    # the verb that runs says these two
    assert set(CODES.values()) | {State.FAILING_BACK, State.REPROTECTING} == set(State)


def test_every_kind_of_step_is_explained_and_the_page_says_the_same() -> None:
    assert set(MEANINGS) == set(LIMITS_S) == set(StepKind)
    page = (DOCS / "steps.md").read_text()
    for kind, meaning in MEANINGS.items():
        assert (
            f"| {kind.value} | {LIMITS_S[kind]} s | {meaning.needs} | {meaning.proof} | "
            f"{meaning.interrupted} |"
            in page
        )
        assert shown_steps([Step(kind, "one-1", "text")])[0].needs == meaning.needs
