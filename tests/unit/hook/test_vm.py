"""The hook of VMs: whom it wakes, and which waits it notes."""
from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import rados
from lxml import etree
from samples import recorded

from onedr.ceph import connection
from onedr.driver import bridge_dispatch
from onedr.hook import vm
from onedr.model.types import Settings
from onedr.opennebula import datastores
from onedr.protection import hook_lag, keeper_lock
from onedr.replication import reader_records, write_records

VM = recorded("onevm_show_10.xml")
DATASTORE = int(str(VM.findtext("TEMPLATE/DISK/DATASTORE_ID")))
SINCE = float(str(VM.findtext("HISTORY_RECORDS/HISTORY/RSTIME")))


class Hooked:
    """oned with one VM, a pool that records it, and what came of the hook."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.results, self.before = {"one-7": "written"}, "POWEROFF"
        self.woken: list[int] = []
        self.waited: list[tuple[int, float]] = []
        self.element, self.fails = VM, False
        here = SimpleNamespace(datastore_id=DATASTORE, access=None, settings=Settings(protect=True), bridges="")

        @contextmanager
        def connected(_: object) -> Any:
            yield SimpleNamespace(access=SimpleNamespace(pool="one"))

        def note(_: object, datastore_id: int, now: float, since: float) -> None:
            if self.fails:
                raise rados.Error("no")
            self.waited.append((datastore_id, since))

        for module, name, fake in (
            (datastores, "all_of", lambda _: {DATASTORE: here}), (connection, "connect", connected),
            (bridge_dispatch, "is_bridged", lambda _: False),
            (keeper_lock, "wake_keeper", self.woken.append), (hook_lag, "note", note),
            (write_records, "surroundings", lambda *_: None), (write_records, "record_vm", lambda *_: self.results),
            (write_records, "recorded_state", lambda *_: self.before),
            (write_records, "disks_to_record", lambda *_: ["one-7"]), (reader_records, "forget", lambda *_: []),
        ):
            monkeypatch.setattr(module, name, fake)

    def vm(self, _: int) -> etree._Element:
        return self.element

    def images(self) -> list[etree._Element]:
        return []

    def networks(self) -> list[etree._Element]:
        return []

    def run(self, changed_state: bool = True) -> str:
        return vm.on_vm(self, 10, changed_state)  # type: ignore[arg-type]


@pytest.fixture
def hooked(monkeypatch: pytest.MonkeyPatch) -> Hooked:
    return Hooked(monkeypatch)


@pytest.mark.parametrize(("results", "wakes"), [
    ({"one-7": "written"}, True), ({"one-7": "unchanged"}, False), ({}, True),
    ({"one-7": "unchanged", "one-8": "written"}, True), ({"one-7": "cannot be opened"}, True),
])
def test_the_keeper_is_woken_unless_every_record_is_as_it_was(
    hooked: Hooked, results: dict[str, str], wakes: bool
) -> None:
    hooked.results = results
    hooked.run(changed_state=False)
    assert bool(hooked.woken) == wakes


def test_how_long_a_change_of_state_waited_is_noted(hooked: Hooked) -> None:
    hooked.run()
    assert hooked.waited == [(DATASTORE, SINCE)]


@pytest.mark.parametrize("case", ["no state", "same state", "no record", "unchanged"])
def test_what_is_no_change_of_state_is_not_measured(hooked: Hooked, case: str) -> None:
    hooked.before = {"same state": "ACTIVE", "no record": ""}.get(case, hooked.before)
    hooked.results = {"one-7": "unchanged"} if case == "unchanged" else hooked.results
    hooked.run(changed_state=case != "no state")
    assert not hooked.waited


def test_a_wait_that_cannot_be_noted_fails_no_hook(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    hooked.fails = True
    assert "one-7 written" in hooked.run() and hooked.woken == [DATASTORE]


def test_a_vm_without_a_protected_disk_needs_no_pool(hooked: Hooked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datastores, "all_of", lambda _: {DATASTORE + 1: None})
    monkeypatch.setattr(connection, "connect", lambda _: pytest.fail("a pool was opened"))
    assert hooked.run() == "VM 10: no protected disk"
