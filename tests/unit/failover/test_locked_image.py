"""An image that its user locked is changed all the same, and locked again whatever comes of the change."""
from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from onedr.ceph import parallel
from onedr.failover.locked_image import allocate_vm, unlocked_image
from onedr.model.errors import FrontEndError


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


VM = (("NAME", "web"), ("DISK", (("IMAGE_ID", "7"),)), ("DISK", (("IMAGE_ID", "7"),)), ("DISK", (("TYPE", "fs"),)))


class Cloud(FrontEnd):
    """One that makes VMs, and refuses them from a locked image."""

    def allocate_vm(self, _: Any) -> int:
        self.calls.append("vm.allocate")
        if self.level:
            raise FrontEndError("[one.vm.allocate] IMAGE is locked. [7]", 512)
        return 9


@pytest.mark.parametrize("level", [0, 1])
def test_an_owners_lock_on_a_base_keeps_no_one_elses_vm_from_coming(level: int) -> None:
    there: Any = Cloud(level)
    assert allocate_vm(there, VM) == 9 and there.level == level
    once = ["vm.allocate"]
    assert there.calls == ([*once, "image.unlock", *once, "image.lock"] if level else once)


def test_of_vms_that_are_made_at_once_none_meets_the_lock_that_another_put_back() -> None:
    there: Any = Cloud(1)
    done = parallel.each(range(30), lambda _: allocate_vm(there, VM), 30, 16)
    assert set(done.values()) == {9} and there.level == 1


def test_another_refusal_is_raised_as_it_is() -> None:
    there: Any = Cloud(0)
    there.allocate_vm = lambda _: (_ for _ in ()).throw(FrontEndError("quota", 2048))
    with pytest.raises(FrontEndError, match="quota"):
        allocate_vm(there, VM)
    assert not there.calls
