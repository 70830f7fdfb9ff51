"""The state a VM had before it was locked: noted by this release and read from earlier ones."""
from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from onedr.failover import peer_vms
from onedr.model.errors import FrontEndError

LOCKED = (
    "<VM><ID>7</ID><NAME>web</NAME><STATE>8</STATE><LCM_STATE>0</LCM_STATE><UNAME>u</UNAME><GNAME>g</GNAME>"
    "<PERMISSIONS><OWNER_U>1</OWNER_U></PERMISSIONS>{}<TEMPLATE/><USER_TEMPLATE>{}</USER_TEMPLATE></VM>"
)


class FrontEnd:
    """One VM that is powered off, and what is done to it. Locked, it takes no action and no attribute."""

    def __init__(self, **user: str) -> None:
        self.user, self.locked, self.calls = dict(user), True, [("", 0)][:0]
        self.level = 1
        self.state, self.lcm = "8", "0"

    def vm(self, _: int) -> etree._Element:
        marks = "".join(f"<{key}>{value}</{key}>" for key, value in self.user.items() if value)
        text = LOCKED.replace("<STATE>8", f"<STATE>{self.state}").replace("<LCM_STATE>0", f"<LCM_STATE>{self.lcm}")
        return etree.fromstring(text.format(f"<LOCK><LOCKED>{self.level}</LOCKED></LOCK>" if self.locked else "", marks))

    def update_vm(self, _: int, pairs: tuple[tuple[str, str], ...]) -> None:
        assert pairs, "an update that changes nothing makes oned run hooks"
        self._must_be_free()
        self.user.update(pairs)

    def _must_be_free(self) -> None:
        if self.locked:
            raise FrontEndError("[one.vm] VM is locked. [7]", 512)

    def call(self, method: str, *words: Any) -> None:
        if method == "vm.action":
            self._must_be_free()
            self.state, self.lcm = "8", "0"
        self.level = 1 if method == "vm.lock" and words[1] == 4 else words[1] if method == "vm.lock" else self.level
        self.locked = {"vm.lock": True, "vm.unlock": False}.get(method, self.locked)
        self.calls.append((method, 7))


@pytest.mark.parametrize("key", ["DR_LOCKED_STATE", "DR_HELD"])
def test_the_state_before_is_read_whichever_release_noted_it(key: str) -> None:
    assert peer_vms.of_element(FrontEnd(**{key: "ACTIVE"}).vm(7), "one").locked_state == "ACTIVE"


def test_a_vm_is_locked_with_its_state_noted_under_the_new_name_once() -> None:
    there = FrontEnd()
    there.locked = False
    peer_vms.lock_vm(there, 7, 5)  # type: ignore[arg-type]
    assert there.user == {"DR_LOCKED_STATE": "POWEROFF", "DR_STATE": "STANDBY"} and there.locked
    old = FrontEnd(DR_HELD="ACTIVE")
    peer_vms.lock_vm(old, 7, 5)  # type: ignore[arg-type]
    assert old.user == {"DR_HELD": "ACTIVE"}, "what an earlier release noted stays true"
    assert not old.calls, "it is locked already"


def test_a_vm_that_is_written_at_the_other_site_no_longer_shows_its_protection_here() -> None:
    there = FrontEnd(DR_STATE="PROTECTED", DR_RECOVERY_POINT="2026-11-30T14:00:00Z")
    there.locked = False
    peer_vms.lock_vm(there, 7, 5)  # type: ignore[arg-type]
    assert there.user == {"DR_LOCKED_STATE": "POWEROFF", "DR_STATE": "STANDBY", "DR_RECOVERY_POINT": ""}


@pytest.mark.parametrize(("state", "lcm", "user"), [
    ("3", "3", {}), ("3", "3", {"DR_LOCKED_STATE": "POWEROFF"}), ("8", "0", {}),
])
def test_a_lock_that_its_user_set_keeps_no_vm_running(state: str, lcm: str, user: dict[str, str]) -> None:
    there = FrontEnd(**user)
    there.state, there.lcm = state, lcm
    peer_vms.lock_vm(there, 7, 5)  # type: ignore[arg-type]
    assert (there.state, there.locked) == ("8", True)
    assert ("vm.unlock", 7) in there.calls and there.calls[-1] == ("vm.lock", 7)


@pytest.mark.parametrize("key", ["DR_LOCKED_STATE", "DR_HELD"])
def test_unlocking_takes_the_mark_of_either_release_off(key: str) -> None:
    there = FrontEnd(**{key: "POWEROFF"})
    vm = peer_vms.of_element(there.vm(7), "one")
    assert peer_vms.unlock_vm(there, vm, 5) == "is POWEROFF again"  # type: ignore[arg-type]
    assert not there.locked and not any(there.user.values())


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_users_lock_is_put_back_when_his_vm_is_let_go(level: int) -> None:
    there: Any = FrontEnd()
    there.level = level
    peer_vms.lock_vm(there, 7, 5)
    peer_vms.lock_vm(there, 7, 5)  # a run that is repeated takes our own lock for no user's
    assert there.level == 1 and there.user["DR_USER_LOCK"] == str(level)
    said = peer_vms.unlock_vm(there, peer_vms.of_element(there.vm(7), "one"), 5)
    assert "locked as before by oneadmin" in said
    assert (there.locked, there.level) == (True, level) and not any(there.user.values())


@pytest.mark.parametrize("mark", ["", "0", "4", "x", "-1", "1 2"])
def test_a_mark_that_is_no_level_locks_nothing(mark: str) -> None:
    there: Any = FrontEnd(DR_LOCKED_STATE="POWEROFF", DR_USER_LOCK=mark)
    peer_vms.unlock_vm(there, peer_vms.of_element(there.vm(7), "one"), 5)
    assert not there.locked and not any(there.user.values())


def test_a_vm_that_stays_here_for_good_forgets_the_users_lock() -> None:
    there: Any = FrontEnd(DR_LOCKED_STATE="ACTIVE", DR_USER_LOCK="2")
    there.locked = False
    assert peer_vms.forget_locked_state(there, 7) == 2 and not any(there.user.values())


@pytest.mark.parametrize(("state", "lcm", "locked", "user", "held"), [
    ("8", "0", True, {"DR_LOCKED_STATE": "ACTIVE"}, True), ("8", "0", True, {"DR_HELD": "ACTIVE"}, True),
    ("3", "3", True, {"DR_LOCKED_STATE": "ACTIVE"}, False),  # its user set both; it runs
    ("8", "0", False, {"DR_LOCKED_STATE": "ACTIVE"}, False), ("8", "0", True, {}, False),
])
def test_a_vm_that_runs_is_not_taken_for_held_whatever_its_user_wrote(
    state: str, lcm: str, locked: bool, user: dict[str, str], held: bool
) -> None:
    there: Any = FrontEnd(**user)
    there.state, there.lcm, there.locked = state, lcm, locked
    assert peer_vms.is_held(peer_vms.of_element(there.vm(7), "one")) is held
