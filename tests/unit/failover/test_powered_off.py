"""Which images a powered off VM can be given."""
from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from onedr.failover import powered_off
from onedr.model.errors import OneDRError


class Oned:
    """A front-end with one image."""

    def __init__(self, state: int) -> None:
        self.state = state

    def image(self, _: int) -> etree._Element:
        return etree.fromstring(f"<IMAGE><STATE>{self.state}</STATE></IMAGE>")


@pytest.mark.parametrize(("state", "shared", "usable"), [
    (1, False, True), (1, True, True), (2, False, False), (2, True, True), (8, False, False), (8, True, True), (3, True, False),
])
def test_an_image_that_another_vm_has_is_usable_only_where_several_may_have_it(
    state: int, shared: bool, usable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(powered_off, "_SETTLES_S", 0.01)
    oned: Any = Oned(state)
    if usable:
        powered_off.image_usable(oned, 7, shared)
    else:
        with pytest.raises(OneDRError, match="oneimage show 7"):
            powered_off.image_usable(oned, 7, shared)
