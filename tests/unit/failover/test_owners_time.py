"""How long one user's snapshots may hold up everybody's VMs."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import rados
from lxml import etree

from onedr.ceph import disk_snapshots
from onedr.failover.owners_time import OwnersTime
from onedr.failover.snapshot_list_plan import Snapshot, SnapshotList
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.model.errors import OneDRError


def image(owner: str, group: str = "users") -> etree._Element:
    return etree.fromstring(f"<IMAGE><ID>7</ID><UNAME>{owner}</UNAME><GNAME>{group}</GNAME></IMAGE>")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_users_time_ends_in_the_middle_of_a_list_and_is_over_for_his_next_one() -> None:
    clock = Clock()
    times = OwnersTime(60, clock)
    with times.turn(image("mallory")) as check:
        clock.now += 59
        check()
        clock.now += 1
        with pytest.raises(OneDRError, match="mallory"):
            check()
    with pytest.raises(OneDRError, match="DR_DELAY_MAX"), times.turn(image("mallory")):
        raise AssertionError("nothing is begun")


def test_it_is_no_other_users_time() -> None:
    clock = Clock()
    times = OwnersTime(60, clock)
    with times.turn(image("mallory")):
        clock.now += 3600
    with times.turn(image("alice")) as check:
        clock.now += 59
        check()


@pytest.mark.parametrize(("owner", "group"), [("oneadmin", "oneadmin"), ("oneadmin", "users"), ("carol", "oneadmin")])
def test_who_acts_for_the_site_has_no_limit(owner: str, group: str) -> None:
    clock = Clock()
    times = OwnersTime(60, clock)
    for _ in range(3):
        with times.turn(image(owner, group)) as check:
            clock.now += 3600
            check()


def test_without_a_limit_there_is_none() -> None:
    clock = Clock()
    with OwnersTime(None, clock).turn(image("alice")) as check:
        clock.now += 3600
        check()


def test_a_list_that_is_not_written_names_its_snapshots_and_starts_no_vm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_snapshots, "numbered", lambda pool, name, names: {"0": 1, "1": 2})
    monkeypatch.setattr(disk_snapshots, "without_numbered", lambda pool, names: frozenset({"one-8"}))
    warned: dict[str, str] = {}
    called: list[str] = []

    def call(method: str, *_: Any) -> Any:
        called.append(method)

    states = etree.fromstring("<IMAGE><ID>7</ID><UNAME>mallory</UNAME><GNAME>users</GNAME><STATE>1</STATE></IMAGE>")
    site: Any = SimpleNamespace(
        frontend=SimpleNamespace(image=lambda image_id: states, call=call, allocate_vm=lambda *_: call("vm.allocate")),
        datastore_id=1, pool=SimpleNamespace(names=lambda: ["one-7"]), warn=lambda target, text: warned.update({target: text}),
    )
    recorded = SnapshotList({0: Snapshot("a"), 1: Snapshot("b", 0)}, 1, 2)
    SnapshotLists(site, alone=True, most_s=0).list_image(7, "one-7", recorded)
    assert called == []
    assert "snapshots 0, 1" in warned["one-7"] and "mallory" in warned["one-7"] and "onedr snapshots" in warned["one-7"]


@pytest.mark.parametrize("error", [None, rados.TimedOut("timed out", errno=110)])
def test_images_without_snapshots_are_seen_at_once_and_others_opened(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    opened, scans = [], []

    def numbered(_: Any, name: str, __: Any) -> set[str]:
        opened.append(name)
        return set()

    def without_numbered(_: Any, names: Any) -> frozenset[str]:
        scans.append(names)
        if error is not None:
            raise error
        return frozenset({"one-7", "one-8"})

    monkeypatch.setattr(disk_snapshots, "numbered", numbered)
    monkeypatch.setattr(disk_snapshots, "without_numbered", without_numbered)
    site: Any = SimpleNamespace(
        frontend=SimpleNamespace(image=lambda _: image("alice")), datastore_id=1,
        pool=SimpleNamespace(names=lambda: ["one-7", "one-8", "one-9"]), warn=lambda *_: None,
    )
    lists = SnapshotLists(site, alone=True)
    for name in ("one-7", "one-8", "one-9"):
        lists.list_image(7, name, SnapshotList())
    assert scans[0] == {"one-7", "one-8", "one-9"}
    assert (opened, len(scans)) == ((["one-9"], 1) if error is None else (["one-7", "one-8", "one-9"], 1))
