"""How a run ended is judged from what was read afterwards."""
from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.failover.verdict import RunEnd, judge_end
from onedr.model.text import Sentence
from onedr.model.types import State

GOOD = RunEnd("failover", False, "2025-01-01 00:00:00Z", 12.4, 4, 3, (), 0)
MOVED = replace(GOOD, verb="move", lossless=True)


@pytest.mark.parametrize(("end", "state", "result", "words"), [
    (GOOD, State.ACTIVE_UNPROTECTED, "DONE", "in 12 s: 3 VM(s) recovered. There is no copy at the peer"),
    (MOVED, State.PROTECTING, "DONE", "no data lost"),
    (replace(MOVED, unread="silence"), State.ACTIVE_UNPROTECTED, "DONE", "could not be read afterwards (silence)"),
    (replace(GOOD, lacking=("db",), failed=2), State.ACTIVE_UNPROTECTED, "PARTIAL", "1 not (db); 2 item(s) failed"),
    (replace(GOOD, active=0, recovered=0, failed=4), State.STANDBY, "FAILED", "Nothing was taken over"),
    (replace(MOVED, split=Sentence("Primary at both sites: one-1.")), State.SPLIT_BRAIN, "PARTIAL", "one-1"),
])
def test_each_end_has_its_state_and_sentence(end: RunEnd, state: State, result: str, words: str) -> None:
    found = judge_end(end)
    assert found[:2] == (state, result) and words in found[2]


@given(st.builds(
    RunEnd, st.sampled_from(["move", "failover"]), st.booleans(), st.just("now"), st.floats(0, 100),
    st.integers(0, 3), st.integers(0, 3), st.just(()), st.integers(0, 3), st.sampled_from(["", "dark"]),
    st.sampled_from([Sentence(""), Sentence("split")]),
))
def test_no_loss_and_no_takeover_are_claimed_that_were_not_read(end: RunEnd) -> None:
    state, result, text = judge_end(end)
    if not end.active and not end.split:
        assert "took over at" not in text and state is State.STANDBY
    if "no data lost" in text:
        assert end.lossless and not end.failed and not end.unread and not end.split
    assert (result == "DONE") <= (not end.failed)
