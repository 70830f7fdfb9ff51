"""A clone waits for its base's snapshot at the peer, and not for ever."""
from __future__ import annotations

import pytest

from onedr.replication.clone_order import WAIT_LIMIT_S, BaseNote, is_over

NOW = 2e9


@pytest.mark.parametrize(("at", "over"), [
    (NOW, False), (NOW - WAIT_LIMIT_S + 1, False), (NOW + 20, False), (NOW - WAIT_LIMIT_S - 1, True),
    (NOW + 365 * 86400, True), (0.0, True),
])
def test_the_wait_ends_whatever_clock_wrote_the_note(at: float, over: bool) -> None:
    assert is_over(BaseNote("f", 4, at), NOW) is over
