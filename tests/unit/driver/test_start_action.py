"""A request as it travels: in driver data, in the journal, in the attributes of a datastore."""
from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pages
import pytest
from lxml import etree
from pages import World

from onedr.driver import start_action
from onedr.driver import take_request as driver_take_request
from onedr.driver.bridge_dispatch import HandedOver
from onedr.hook import datastore as datastore_hook
from onedr.model.errors import StorageError
from onedr.model.template import parse_xml
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request

REQUESTS = [
    Request("failover", "ceph", True, ("web", "7"), False, True, (("A", "<1>"),), "me@host", "onedr", 5.0),
    Request("failover", by="me", trigger="onedr", at=5.0),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_what_is_asked_is_what_the_driver_reads(request_: Request) -> None:
    data = base64.b64decode(start_action.driver_data(etree.Element("DATASTORE"), request_))
    assert start_action.read_request(parse_xml(data), "failover") == request_


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_resumed_run_is_asked_for_what_the_interrupted_one_was(request_: Request) -> None:
    entry = JournalEntry("1-a", "failover", "host 1", 5.0, request_)
    found = JournalEntry.from_json(entry.to_json()).request
    assert (found.accept_unsigned, found.vms, found.start) == (
        request_.accept_unsigned, request_.vms, request_.start
    )


@pytest.mark.parametrize("value", [None, "YES", 1, False])
def test_only_true_in_a_journal_is_the_operators_word(value: Any) -> None:
    asked = {"run": "1-a", "verb": "failover", "owner": "", "began": 5.0, "request": {"accept_unsigned": value}}
    assert not JournalEntry.from_json(asked).request.accept_unsigned


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    """A protected datastore that the keeper has seen."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr("onedr.protection.keeper_lock.wake_keeper", lambda _: None)
    with pages.in_memory():
        made = World()
        made.keeper()
        monkeypatch.setattr(datastore_hook, "take_request", lambda _: made.hook())
        monkeypatch.setattr(datastore_hook, "answer", lambda _, why: setattr(made, "refusal", why))
        yield made


def on_datastore(world: Any) -> str:
    return datastore_hook.on_datastore(world, world.datastore(100))


@pytest.mark.parametrize(("word", "accepted"), [("YES", True), ("yes", True), ("NO", False), ("TRUE", False), ("", False)])
def test_dr_accept_unsigned_is_the_word_for_one_action(
    world: World, word: str, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Request] = []
    monkeypatch.setattr(start_action, "start_detached", lambda _, request: started.append(request))
    world.update({"DR_ACTION": "FAILOVER", "DR_CONFIRM": "ceph", "DR_ACCEPT_UNSIGNED": word, "DR_LEAVE": "7 8"}, True)
    assert on_datastore(world) == "started failover"
    assert [request.accept_unsigned for request in started] == [accepted]
    assert (started[0].confirm, started[0].leave, started[0].trigger) == ("ceph", ("7", "8"), "DR_ACTION")
    assert started[0].by == "a manager of oneadmin's datastore", "the API hides who called"
    assert not any(world.template.get(key) for key in ("DR_ACTION", "DR_CONFIRM", "DR_ACCEPT_UNSIGNED", "DR_LEAVE"))


def test_a_plan_is_asked_for_with_its_verb_and_the_id_of_the_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Request] = []
    monkeypatch.setattr(start_action, "start_detached", lambda _, request: started.append(request))
    page = {"DR_ACTION": "PLAN", "DR_PLAN": "MOVE", "DR_REQUEST": "page-1"}
    world.update(page, True)
    assert on_datastore(world) == "started plan"
    assert started[0].verb == "plan"
    assert started[0].attributes == (("PLAN", "MOVE"), ("REQUEST", "page-1"))
    assert not any(world.template.get(key) for key in page)
    world.update(page, True)  # the page sends it twice
    on_datastore(world)
    assert len(started) == 1


def test_a_verb_to_plan_does_not_wait_for_a_later_action(world: World) -> None:
    world.update({"DR_PLAN": "MOVE"}, True)
    on_datastore(world)
    assert not world.template.get("DR_PLAN")


def test_a_word_without_an_action_does_not_wait_for_a_later_one(world: World) -> None:
    world.update({"DR_CONFIRM": "ceph", "DR_ACCEPT_UNSIGNED": "YES"}, append=True)
    on_datastore(world)
    assert (world.template["DR_ACCEPT_UNSIGNED"], world.template["DR_CONFIRM"]) == ("", "ceph")


def test_where_the_pool_does_not_answer_nothing_starts_and_nothing_waits_for_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: int) -> None:
        raise StorageError("Ceph does not answer.")

    page = {**world.page(), "DR_ACTION": "FAILOVER"}
    monkeypatch.setattr(datastore_hook, "take_request", silent)
    world.update({"DR_ACTION": "FAILOVER", "DR_CONFIRM": "ceph"}, append=True)
    with pytest.raises(StorageError):
        on_datastore(world)
    assert not world.template["DR_ACTION"] and "Ceph does not answer" in world.template["DR_MESSAGE"]
    world.keeper()  # the pool is back
    world.update(page, append=True)
    assert not world.hook(), "a page of that time starts nothing"


def test_an_unknown_action_is_taken_off_and_answered(world: World) -> None:
    world.update({"DR_ACTION": "EXPLODE"}, append=True)
    assert "DR_ACTION=EXPLODE is not known" in on_datastore(world)
    assert not world.template["DR_ACTION"] and "EXPLODE" in world.refusal


def test_an_answer_that_the_pool_does_not_keep_is_written_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: Any) -> None:
        raise StorageError("Ceph does not answer.")

    monkeypatch.setattr(datastore_hook, "answer", silent)
    world.update({"DR_ACTION": "EXPLODE"}, append=True)
    on_datastore(world)
    assert "EXPLODE" in world.template["DR_MESSAGE"]


def test_a_stock_datastore_is_left_alone_also_where_its_pool_does_not_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: int) -> None:
        raise StorageError("Ceph does not answer.")

    monkeypatch.setattr(datastore_hook, "take_request", silent)
    world.drivers = {"DS_MAD": "ceph", "TM_MAD": "ceph"}
    before = world.page()
    assert "is not known" in on_datastore(world) and world.page() == before


@pytest.mark.parametrize(("text", "woken"), [
    ({"DR_STATE": "PROTECTED"}, False), ({"DR_SEQ": "1", "DR_STATE": "DEGRADED"}, True),
    ({"DR_STATE": ""}, True), ({"DR_STATE": "PROTECTED", "DR_PROTECT": "NO"}, True),
    ({"DR_STATE": "UNPROTECTED", "DR_PROTECT": "NO"}, False),
])
def test_the_keeper_is_woken_where_an_old_state_is_shown(
    world: World, text: dict[str, str], woken: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("onedr.protection.keeper_lock.wake_keeper", calls.append)
    world.update(text, append=True)
    on_datastore(world)
    assert calls == [100] * woken


def test_what_a_bridge_host_took_off_is_started_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def handed_over(_: list[str]) -> str:
        raise HandedOver('[["DR_ACTION", "MOVE"], ["DR_LEAVE", "7"]]')

    monkeypatch.setattr(driver_take_request, "take_request_here", handed_over)
    assert driver_take_request.take_request(100) == (("DR_ACTION", "MOVE"), ("DR_LEAVE", "7"))
