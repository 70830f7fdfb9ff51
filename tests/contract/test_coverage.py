"""Nothing recorded is forgotten, and the README says what is played."""
from __future__ import annotations

from pathlib import Path

import pytest
from contract_cases import CASES, COVERED_ELSEWHERE, UNSUPPORTED
from contract_coverage import PARTS, known, lists
from contract_shapes import WIRE

README = Path(__file__).resolve().parent / "README.md"


@pytest.mark.parametrize("part", ["ds", "vm", "errors"])
def test_every_recorded_case_is_played_or_named_as_unsupported(part: str) -> None:
    """A case nobody thought of fails here."""
    recorded = {f"{part}/{path.name}" for path in (WIRE / part).iterdir()}
    assert recorded == {name for name in known() if name.startswith(f"{part}/")}


def test_no_case_is_both_played_and_unsupported() -> None:
    assert not set(CASES) & set(UNSUPPORTED)
    assert not set(CASES) & set(COVERED_ELSEWHERE)
    assert {name.partition("/")[0] for name in UNSUPPORTED} <= set(PARTS)


def test_the_readme_holds_the_lists() -> None:
    assert lists() in README.read_text(), "put the output of contract_coverage.py into README.md"
