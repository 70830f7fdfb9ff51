"""The announcement of a removal ends by itself, whichever clock wrote it."""
from __future__ import annotations

import pytest

from onedr.ceph.images import is_recent_removal

NOW = 2e9


@pytest.mark.parametrize(("announced", "recent"), [
    (str(NOW), True), (str(NOW - 30), True), (str(NOW + 30), True), (str(NOW - 61), False),
    (str(NOW + 61), False), (str(NOW + 365 * 86400), False), ("0", False), ("inf", False), ("nan", False),
    ("", False), ("soon", False),
])
def test_an_announcement_is_in_force_for_a_minute_by_any_clock(announced: str, recent: bool) -> None:
    assert is_recent_removal(announced, NOW) is recent
