"""The lock that a user set on his VM, in its record: whatever a run of ours did to it meanwhile."""
from __future__ import annotations

import pytest
from lxml import etree

from onedr.model.template import Pairs
from onedr.opennebula import vm_locks


def vm(level: str) -> etree._Element:
    return etree.fromstring(f"<VM>{f'<LOCK><LOCKED>{level}</LOCKED></LOCK>' if level else ''}</VM>")


@pytest.mark.parametrize(("level", "user", "recorded"), [
    ("", (), 0), ("2", (), 2),
    ("1", (("DR_LOCKED_STATE", "ACTIVE"),), 0),  # ours, on a VM that was free
    ("1", (("DR_LOCKED_STATE", "ACTIVE"), ("DR_USER_LOCK", "3")), 3),
    ("", (("DR_USER_LOCK", "2"),), 2),  # it is put on when the VM runs
    ("7", (), 0), ("x", (("DR_USER_LOCK", "9"),), 0),
])
def test_the_users_own_is_recorded(level: str, user: Pairs, recorded: int) -> None:
    assert vm_locks.recorded(vm_locks.for_record(vm(level), user)) == recorded


@pytest.mark.parametrize(("pairs", "level"), [
    ((), None), ((("ONEDR_LOCK", "0"),), 0), ((("ONEDR_LOCK", "3"),), 3), ((("ONEDR_LOCK", "4"),), None),
])
def test_a_record_of_an_earlier_release_says_nothing_of_it(pairs: Pairs, level: int | None) -> None:
    assert vm_locks.recorded(pairs) == level
    assert vm_locks.mark(pairs) == ((("DR_USER_LOCK", str(level)),) if level else ())
