"""Settings that a VM brings home: what differs, whether oned can set it, and the call that does."""
from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import disk, vm_record

from onedr.failover import setting_changes
from onedr.failover.setting_changes import Change
from onedr.model.template import Pairs
from onedr.opennebula.nics import Counterparts
from onedr.opennebula.own_marks import NO_SECRETS
from onedr.opennebula.vms import PeerVm
from onedr.replication import secrets

DISKS = (("DISK", (("DISK_ID", "0"), ("SOURCE", "one/one-1"))), ("DISK", (("DISK_ID", "2"), ("SOURCE", "one/one-2"))))
THERE_TOO = (disk(0, "one/one-1"), disk(1, "one/one-2"))


def found(own: Any, there: Any, state: str = "POWEROFF") -> list[Change]:
    home = PeerVm(42, "web", state, "ACTIVE", frozenset({"one-1", "one-2"}), template=(*DISKS, *own))
    return setting_changes.changes(home, vm_record(template=there, disks=THERE_TOO), Counterparts())


def section(name: str, **values: str) -> tuple[str, Any]:
    return name, tuple(values.items())


def follows(own: Any, there: Any, state: str = "POWEROFF") -> dict[str, bool]:
    return {change.name: change.follows for change in found((own,), (there,), state)}


def as_oned_has_it(own: Pairs, asked: setting_changes.Update) -> dict[str, dict[str, str]]:
    """updateconf of VirtualMachine.cc, in short; of attributes that stand for a value, the value."""
    values = dict(asked.stand_ins)
    given = {key: {part: values.get(text[1:], text) for part, text in parts} for key, parts in asked.sections}
    before = {key: dict(value) for key, value in own if not isinstance(value, str)}
    after = {}
    for name in {*before, *given}:
        old, new = before.get(name, {}), given.get(name)
        if new is None:
            after[name] = old if not asked.replaces or name in ("CONTEXT", "BACKUP_CONFIG") else {}
        else:
            kept = old if not asked.replaces else {k: v for k, v in old.items() if k not in setting_changes._SETTABLE.get(name, old)}
            after[name] = {**kept, **new}
    return after


@pytest.mark.parametrize("state", ["POWEROFF", "HOLD", "PENDING", "UNDEPLOYED", "SUSPENDED", "STOPPED"])
def test_they_follow_in_the_states_in_which_oned_takes_them(state: str) -> None:
    expected = state not in ("SUSPENDED", "STOPPED")
    assert follows(section("FEATURES", ACPI="YES"), section("FEATURES", ACPI="NO"), state) == {"FEATURES/ACPI": expected}


def test_the_boot_order_follows_by_the_disks_it_names() -> None:
    (change,) = found((section("OS", BOOT="disk0,disk2"),), (section("OS", BOOT="disk1,disk0"),))
    assert (change.value, change.follows) == ("disk2,disk0", True)


def test_what_oned_would_drop_with_the_last_that_it_can_set_keeps_the_section_as_it_is() -> None:
    own = section("FEATURES", ACPI="YES", GIC="2")
    assert follows(own, section("FEATURES", GIC="2")) == {"FEATURES/ACPI": False}
    assert follows(section("FEATURES", ACPI="YES"), ("NOTHING", "")) == {"FEATURES/ACPI": True}


@pytest.mark.parametrize(("own", "there", "name", "expected"), [
    (section("OS", ARCH="x"), section("OS", ARCH="x", MACHINE="q35"), "OS/MACHINE", False),  # a default of that site
    (section("OS", MACHINE="pc"), section("OS", MACHINE="q35"), "OS/MACHINE", True),
    (section("BACKUP_CONFIG", MODE="INCREMENT"), section("BACKUP_CONFIG", MODE="FULL"), "BACKUP_CONFIG/MODE", False),
])
def test_what_oned_there_may_have_set_by_itself_does_not_follow(own: Any, there: Any, name: str, expected: bool) -> None:
    assert follows(own, there) == {name: expected}


def test_of_several_sections_of_a_name_none_is_changed() -> None:
    mouse, tablet = section("INPUT", TYPE="mouse"), section("INPUT", TYPE="tablet")
    assert [(each.name, each.follows) for each in found((mouse, tablet), (mouse, mouse))] == [("INPUT", False)]
    assert not any(each.follows for each in found((mouse, tablet), (tablet,)))
    assert found((mouse, tablet), (mouse, tablet)) == []


@pytest.mark.parametrize("mark", [secrets.ENCRYPTED, secrets.WITHHELD])
def test_a_secret_that_was_not_opened_was_not_taken_off(mark: str) -> None:
    own = section("CONTEXT", PASSWORD="p", TARGET="hda")
    assert found((own,), (section("CONTEXT", A=""), (mark, "x"))) == []
    there = vm_record(template=(section("CONTEXT", A=""),), disks=THERE_TOO, user_template=((NO_SECRETS, "YES"),))
    home = PeerVm(42, "web", "POWEROFF", "ACTIVE", frozenset({"one-1"}), template=(*DISKS, own))
    assert setting_changes.changes(home, there, Counterparts()) == []
    assert follows(own, section("CONTEXT", A="")) == {"CONTEXT/PASSWORD": True}


def test_files_and_what_oned_makes_are_left_alone() -> None:
    own = section("CONTEXT", FILES="/a", FILES_DS="/x:'y'", TARGET="hda", ETH0_IP="10.0.0.1", VMID="42")
    assert found((own,), (section("CONTEXT", FILES="/b", ETH0_IP="10.9.0.1", VMID="7"),)) == []


def test_a_dollar_goes_by_what_stands_for_it_and_is_not_resolved() -> None:
    own = (section("CONTEXT", A="1"),)
    asked = setting_changes.update(own, [Change("CONTEXT", "A", "$6$salt$hash", True), Change("CONTEXT", "B", "plain", True)])
    ((name, value),) = asked.stand_ins
    assert (value, asked.replaces) == ("$6$salt$hash", False)
    assert asked.sections == (("CONTEXT", (("A", f"${name}"), ("B", "plain"))),)


def test_only_what_is_changed_is_sent_while_nothing_is_taken_off() -> None:
    own = (section("CONTEXT", A="1"), section("RAW", DATA="<x/>"), section("FEATURES", ACPI="YES"))
    asked = setting_changes.update(own, [Change("FEATURES", "ACPI", "NO", True)])
    assert (asked.sections, asked.replaces) == ((("FEATURES", (("ACPI", "NO"),)),), False)


def test_what_takes_off_repeats_all_the_others() -> None:
    own = (
        section("CONTEXT", A="1", FILES_DS="/x:'y'"), section("RAW", DATA="<x/>"), section("FEATURES", ACPI="YES", APIC="NO"),
        section("OS", ARCH="x86_64", KERNEL_DS="$FILE[IMAGE_ID=3]"), section("BACKUP_CONFIG", KEEP_LAST="3"),
    )
    asked = setting_changes.update(own, [Change("FEATURES", "ACPI", "", True)])
    given = dict(asked.sections)
    assert asked.replaces and given.keys() == {"RAW", "FEATURES", "OS"}
    assert (given["FEATURES"], given["RAW"]) == ((("APIC", "NO"),), own[1][1])


NAMES = st.sampled_from(["ACPI", "APIC", "GIC", "TYPE", "DATA", "MODEL", "ARCH", "A", "PASSWORD", "KEEP_LAST"])
VALUES = st.sampled_from(["", "1", "$x", "ü"])
SECTIONS = st.dictionaries(
    st.sampled_from(["OS", "FEATURES", "RAW", "CPU_MODEL", "CONTEXT", "GRAPHICS", "BACKUP_CONFIG", "VIDEO"]),
    st.dictionaries(NAMES, VALUES, max_size=4), max_size=5,
)


@given(SECTIONS, SECTIONS)
def test_after_the_call_nothing_that_follows_is_another_there_and_nothing_else_changed(own: Any, there: Any) -> None:
    mine, theirs = (tuple((key, tuple(parts.items())) for key, parts in each.items()) for each in (own, there))
    wanted = [each for each in found(mine, theirs) if each.follows]
    if not wanted:
        return
    after = as_oned_has_it(mine, setting_changes.update(mine, wanted))
    changed = {(each.section, each.key): each.value for each in wanted}
    for name in own.keys() | there.keys():
        for key in {*own.get(name, {}), *after.get(name, {})}:
            expected = changed.get((name, key), own.get(name, {}).get(key, ""))
            assert after.get(name, {}).get(key, "") == expected, (name, key)
    left = found(tuple((key, tuple(parts.items())) for key, parts in after.items()), theirs)
    assert not [each for each in left if each.follows]
