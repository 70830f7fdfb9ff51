"""What VMs show of their protection: 500 of them, bounded, in turn, and nothing while nothing changes."""
from __future__ import annotations

import time
from bisect import bisect_left
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from samples import image

from onedr.model import template
from onedr.model.errors import FrontEndError, StorageError
from onedr.model.types import Role, Settings, State
from onedr.opennebula.api import NO_SUCH_OBJECT, NOT_ALLOWED
from onedr.protection import vm_display, vm_shown_rules
from onedr.protection.status import Objects
from onedr.protection.vm_display import VmDisplay
from onedr.protection.vm_shown_rules import AT_ONCE, PER_MINUTE, Shown, VmDisks
from onedr.replication.peer_copies import Copy
from onedr.runs.state import ImageState

SETTINGS = Settings(protect=True, rpo_s=900)
COUNT = 500
MOST = AT_ONCE + PER_MINUTE
RIGHTS = "".join(f"<{who}_{right}>1</{who}_{right}>" for who in ("OWNER", "GROUP", "OTHER") for right in "UMA")


def vm_xml(vm_id: int, user: dict[str, str], more: str = "", disks: str = "", state: int = 3) -> etree._Element:
    own = "".join(f"<{key}>{value}</{key}>" for key, value in user.items())
    disks = disks or f"<DISK><DISK_ID>0</DISK_ID><DATASTORE_ID>100</DATASTORE_ID><TYPE>RBD</TYPE><SOURCE>one/one-{vm_id}</SOURCE></DISK>"
    return template.parse_xml(
        f"<VM><ID>{vm_id}</ID><NAME>v</NAME><UNAME>u</UNAME><GNAME>g</GNAME><STATE>{state}</STATE>{more}"
        f"<PERMISSIONS>{RIGHTS}</PERMISSIONS><TEMPLATE>{disks}</TEMPLATE><USER_TEMPLATE>{own}</USER_TEMPLATE></VM>"
    )


class Site:
    """oned, Ceph and the clock. `late`: VMs whose copies are older than the objective."""

    def __init__(self, count: int, monkeypatch: pytest.MonkeyPatch):
        self.now, self.late, self.refuses = 1000.0, set[int](), dict[int, int]()
        self.users: dict[int, dict[str, str]] = {vm_id: {"NOTE": f"{vm_id}"} for vm_id in range(count)}
        self.writes: list[tuple[float, int]] = []
        self.role, self.more, self.paused = Role.PRIMARY, dict[int, str](), False
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def update_vm(self, vm_id: int, pairs: template.Pairs) -> None:
        self.writes.append((self.now, vm_id))
        if vm_id in self.refuses:
            raise FrontEndError("[one.vm.update] no", self.refuses[vm_id])
        self.users[vm_id].update(pairs)

    def replace_vm(self, vm_id: int, pairs: template.Pairs) -> None:
        self.update_vm(vm_id, ())
        self.users[vm_id] = dict(pairs)

    def vm(self, vm_id: int) -> etree._Element:
        return vm_xml(vm_id, self.users[vm_id], self.more.get(vm_id, ""))

    def vms(self) -> list[etree._Element]:
        return [self.vm(vm_id) for vm_id in self.users]

    def seen(self) -> Any:
        age = {vm_id: 5000.0 if vm_id in self.late else 5.0 for vm_id in self.users}
        return SimpleNamespace(
            facts=[image(f"one-{vm_id}", primary=True) for vm_id in self.users],
            items=[ImageState(f"one-{vm_id}", True, True, True, age[vm_id]) for vm_id in self.users],
            verdict=SimpleNamespace(role=self.role),
            copies=SimpleNamespace(
                by_name={f"one-{vm_id}": Copy(True, 1e9 - age[vm_id]) for vm_id in self.users},
                peer_status=SimpleNamespace(can_connect=True), proven=True,
            ),
            paused=self.paused, objects=Objects((), tuple(self.vms()), frozenset({100}), True),
        )

    def live(self, display: VmDisplay, seconds: int, every: int = 60) -> int:
        """A keeper's life: a pass now and then, a turn in between. Returns how many updates it made."""
        before = len(self.writes)
        for second in range(seconds):
            if second % every == 0:
                display.take(self.seen(), SETTINGS)
            display.turn()
            self.now += 1
        return len(self.writes) - before

    def most_in_a_minute(self) -> int:
        times = [at for at, _ in self.writes]
        return max((bisect_left(times, at + 60) - place for place, at in enumerate(times)), default=0)

    def display(self) -> VmDisplay:
        return VmDisplay(100, self)  # type: ignore[arg-type]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(COUNT, monkeypatch)


def test_500_vms_that_change_at_once_are_written_within_bounds_each_once_and_then_no_more(site: Site) -> None:
    display = site.display()
    assert site.live(display, 660) == COUNT
    assert site.most_in_a_minute() <= MOST
    assert {user["DR_STATE"] for user in site.users.values()} == {"PROTECTED"}
    assert site.live(display, 3600, every=300) == 0, "nothing changed: nothing is written, although recovery points move on"
    site.late = set(site.users)
    assert site.live(display, 660) == COUNT and site.most_in_a_minute() <= MOST
    assert {user["DR_STATE"] for user in site.users.values()} == {"DEGRADED"}
    assert {user["DR_RECOVERY_POINT"] for user in site.users.values()} == {"2001-09-09T00:23:20Z"}
    assert [user["NOTE"] for user in site.users.values()] == [str(vm_id) for vm_id in site.users]


def test_one_vm_of_500_that_went_late_costs_one_update_and_one_when_it_is_back(site: Site) -> None:
    display = site.display()
    site.live(display, 660)
    site.late = {77}
    assert site.live(display, 120) == 1 and site.users[77]["DR_STATE"] == "DEGRADED"
    site.late = set()
    assert site.live(display, 120) == 1 and site.users[77]["DR_STATE"] == "PROTECTED"


def test_keepers_that_follow_each_other_write_no_more_than_one(site: Site) -> None:
    for _ in range(6):
        site.live(site.display(), 67)
    assert site.most_in_a_minute() <= MOST


def test_a_users_attributes_written_in_between_stay(site: Site) -> None:
    display = site.display()
    display.take(site.seen(), SETTINGS)
    site.users[0] = {"NOTE": "changed after the keeper looked", "NEW": "1"}
    site.now += 60
    display.turn()
    assert site.users[0] == {
        "NOTE": "changed after the keeper looked", "NEW": "1", "DR_STATE": "PROTECTED",
        "DR_RECOVERY_POINT": "2001-09-09T01:46:35Z",
    }


@pytest.mark.parametrize("code", [NO_SUCH_OBJECT, NOT_ALLOWED, 8192])
def test_a_vm_that_oned_refuses_holds_no_other_up(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    site = Site(60, monkeypatch)
    site.refuses = {0: code}
    site.live(site.display(), 200)
    assert [vm_id for vm_id, user in site.users.items() if "DR_STATE" not in user] == [0]
    assert site.most_in_a_minute() <= MOST


@pytest.mark.parametrize("more", ["<LOCK><LOCKED>4</LOCKED></LOCK>", ""])
def test_a_locked_vm_is_not_tried(site: Site, more: str) -> None:
    site.more = {0: more}
    site.live(site.display(), 30)
    assert (0 in {vm_id for _, vm_id in site.writes}) == (not more)


def test_vms_of_a_paused_datastore_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(5, monkeypatch)
    site.live(site.display(), 30)
    site.paused = True
    assert site.live(site.display(), 30) == 5 and {user["DR_STATE"] for user in site.users.values()} == {"DEGRADED"}


def test_the_standby_writes_nothing(site: Site) -> None:
    site.role = Role.SECONDARY
    assert site.live(site.display(), 120) == 0


def test_removing_takes_off_what_it_shows_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(20, monkeypatch)
    site.live(site.display(), 60)
    del site.users[3]["DR_STATE"], site.users[3]["DR_RECOVERY_POINT"]
    site.writes, site.refuses = [], {5: NOT_ALLOWED}
    left = vm_display.remove(site, 100)  # type: ignore[arg-type]
    assert list(left) == ["VM 5"] and "no" in left["VM 5"]
    assert 3 not in {vm_id for _, vm_id in site.writes}
    assert all(user == {"NOTE": str(vm_id)} for vm_id, user in site.users.items() if vm_id != 5)


def test_an_attribute_that_got_lost_meanwhile_is_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.users = {1: {"NOTE": "x", "DR_STATE": "PROTECTED"}}
    monkeypatch.setattr(site, "replace_vm", lambda vm_id, _: site.users.update({vm_id: {}}))
    with pytest.raises(StorageError, match="NOTE was lost"):
        vm_display._remove(site, 1)  # type: ignore[arg-type]


def item(**changes: Any) -> ImageState:
    return ImageState(**{"name": "one-1", "mirrored": True, "primary": True, "copied": True, "age_s": 5.0, **changes})


@pytest.mark.parametrize(("items", "points", "user", "expected"), [
    ([item()], [10.0], (), Shown(State.PROTECTED, 10.0)),
    ([item(), item()], [10.0, 9.0], (), Shown(State.PROTECTED, 9.0)),
    ([item(), item()], [10.0, None], (), Shown(State.PROTECTED)),
    ([item(age_s=901.0)], [10.0], (), Shown(State.DEGRADED, 10.0)),
    ([item(copied=False)], [None], (), Shown(State.PROTECTING)),
    ([item(), item(mirrored=False, problem="no")], [10.0], (), Shown(State.DEGRADED)),
    ([item(mirrored=False, problem="no")], [], (), Shown(State.UNPROTECTED)),
    ([item()], [10.0], (("DR_PROTECT", "no"),), Shown(State.UNPROTECTED)),
    ([], [], (), Shown(State.UNPROTECTED)),
    ([item(taken=True, copied=False)], [None], (), Shown(State.ACTIVE_UNPROTECTED)),
    ([item(split=True)], [10.0], (), Shown(State.SPLIT_BRAIN, 10.0)),
])
def test_what_a_vm_shows(items: list[ImageState], points: list[float | None], user: Any, expected: Shown) -> None:
    assert vm_shown_rules.shown(SETTINGS, user, items, points) == expected


def test_a_recovery_point_that_is_not_known_any_more_is_cleared_with_the_state_alone() -> None:
    there = (("DR_STATE", "PROTECTED"), ("DR_RECOVERY_POINT", "2001-09-09T01:46:35Z"))
    assert not vm_shown_rules.differs(there, Shown(State.PROTECTED))
    assert vm_shown_rules.differs(there, Shown(State.PROTECTING))
    assert vm_display._written(there, Shown(State.PROTECTING)) == (("DR_STATE", "PROTECTING"), ("DR_RECOVERY_POINT", ""))
    assert vm_display._written((), Shown(State.PROTECTING)) == (("DR_STATE", "PROTECTING"),)


RBD = "<DISK><DISK_ID>{}</DISK_ID><DATASTORE_ID>{}</DATASTORE_ID><TYPE>RBD</TYPE><SOURCE>one/{}</SOURCE><CLONE>{}</CLONE></DISK>"


@pytest.mark.parametrize(("disks", "state", "expected"), [
    ([(0, 5, "one-9", "NO"), (1, 101, "one-2", "NO"), (2, 100, "one-3", "NO")], 3, VmDisks(1, 101, frozenset({"one-2"}))),
    ([(0, 100, "one-2", "YES"), (1, 100, "one-3", "NO")], 3, VmDisks(1, 100, frozenset({"one-2-1-0", "one-3"}))),
    ([(0, 100, "one-2", "YES")], 1, VmDisks(1, 100, frozenset({"one-2-1-0", "one-2"}))),
    ([(0, 5, "one-2", "NO")], 3, VmDisks(1, -1, frozenset())),
])
def test_one_datastores_keeper_shows_a_vm(disks: Any, state: int, expected: VmDisks) -> None:
    found = vm_xml(1, {}, disks="".join(RBD.format(*disk) for disk in disks), state=state)
    assert vm_shown_rules.disks_of(found, {100, 101}) == expected


@given(st.lists(st.tuples(st.integers(0, 90), st.sets(st.integers(0, 25))), max_size=60))
def test_whoever_differs_long_enough_is_written_and_no_minute_sees_more_than_allowed(
    passes: list[tuple[int, set[int]]]
) -> None:
    """Each pass: seconds since the former, and the VMs that differ then. Writing one mends it until it differs
    again at a pass; one that keeps differing comes again behind all others.
    """
    now, budget = 0.0, 0.0
    line: tuple[int, ...] = ()
    written: list[float] = []
    for wait, differing in passes:
        ahead = {vm_id: line.index(vm_id) for vm_id in line if vm_id in differing}
        line = vm_shown_rules.in_line(line, differing)
        assert set(line) == differing and len(line) == len(differing)
        assert all(line.index(vm_id) <= before for vm_id, before in ahead.items()), "nobody overtakes"
        for _ in range(wait):
            now, budget = now + 1, vm_shown_rules.allowance(budget, 1)
            while line and budget >= 1:
                line, budget = line[1:], budget - 1
                written.append(now)
        if wait * PER_MINUTE / 60 >= len(differing) + 1:
            assert not line
    assert all(bisect_left(written, at + 60) - place <= MOST for place, at in enumerate(written))


@given(st.floats(0, AT_ONCE), st.floats(-1e6, 1e6))
def test_the_allowance_is_never_negative_nor_more_than_at_once(before: float, passed: float) -> None:
    assert before <= vm_shown_rules.allowance(before, passed) <= AT_ONCE
