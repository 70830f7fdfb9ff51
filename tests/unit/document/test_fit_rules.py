"""How often STATUS is written."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.document.fit_rules import PART_BYTES, is_due


@pytest.mark.parametrize(("changed", "passed_s", "size", "due"), [
    (True, 4.9, 0, False), (True, 5.1, 0, True),
    (False, 59.0, 0, False), (False, 61.0, 0, True),
    (True, 17.0, 128 * 1024, False), (True, 18.0, 128 * 1024, True),
    (False, 300.0, 128 * 1024, False), (False, 320.0, 128 * 1024, True),
    (False, -1.0, 0, True),  # noted by a clock that was ahead
])
def test_table(changed: bool, passed_s: float, size: int, due: bool) -> None:
    assert is_due(changed, passed_s, size) is due


@given(st.booleans(), st.integers(0, PART_BYTES), st.floats(0, 1e6))
def test_oned_writes_at_most_some_kilobytes_a_second(changed: bool, size: int, passed_s: float) -> None:
    if is_due(changed, passed_s, size):
        assert size / max(passed_s, 0.1) <= 10 * 1024
