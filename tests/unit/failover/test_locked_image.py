"""An image that its user locked is changed all the same, and locked again whatever comes of the change."""
from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from onedr.failover.locked_image import unlocked_image


class FrontEnd:
    """One image, locked at a level or not."""

    def __init__(self, level: int):
        self.level, self.calls = level, [""][:0]

    def image(self, _: int) -> etree._Element:
        lock = f"<LOCK><LOCKED>{self.level}</LOCKED><OWNER>4</OWNER></LOCK>" if self.level else ""
        return etree.fromstring(f"<IMAGE><ID>7</ID>{lock}</IMAGE>")

    def call(self, method: str, _: int, *level: Any) -> None:
        self.calls.append(method)
        self.level = level[0] if level else 0


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("fails", [False, True])
def test_it_is_free_for_the_change_and_as_before_after_it(level: int, fails: bool) -> None:
    there: Any = FrontEnd(level)
    try:
        with unlocked_image(there, 7):
            assert there.level == 0
            if fails:
                raise RuntimeError("oned refuses")
    except RuntimeError:
        assert fails
    assert there.level == level
    assert there.calls == (["image.unlock", "image.lock"] if level else [])
