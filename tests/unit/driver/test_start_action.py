"""A request as it travels: in driver data, in the journal, in the attributes of a datastore."""
from __future__ import annotations

import base64
from typing import Any

import pytest
from lxml import etree

from onedr.driver import start_action
from onedr.hook import datastore as datastore_hook
from onedr.model.template import from_element, get, parse_xml
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


class FrontEnd:
    """A datastore with attributes."""

    def __init__(self, text: str):
        self.element = parse_xml(
            "<DATASTORE><ID>100</ID><NAME>ceph</NAME><UNAME>oneadmin</UNAME><DS_MAD>ceph_dr</DS_MAD>"
            "<TM_MAD>ceph_dr</TM_MAD><TEMPLATE><POOL_NAME>one</POOL_NAME><CEPH_USER>libvirt</CEPH_USER>"
            f"<BRIDGE_LIST>localhost</BRIDGE_LIST><DR_PROTECT>YES</DR_PROTECT>{text}</TEMPLATE></DATASTORE>"
        )

    def datastore(self, _: int) -> Any:
        return self.element

    def update_datastore(self, _: int, changes: tuple[tuple[str, str], ...]) -> None:
        for key, value in changes:
            for found in self.element.iterfind(f"TEMPLATE/{key}"):
                found.text = value


@pytest.mark.parametrize(("word", "accepted"), [("YES", True), ("yes", True), ("NO", False), ("TRUE", False), (None, False)])
def test_dr_accept_unsigned_is_the_word_for_one_action(
    word: str | None, accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Request] = []
    monkeypatch.setattr(start_action, "start_detached", lambda _, request: started.append(request))
    text = f"<DR_ACCEPT_UNSIGNED>{word}</DR_ACCEPT_UNSIGNED>" if word else ""
    frontend: Any = FrontEnd(f"<DR_ACTION>FAILOVER</DR_ACTION><DR_CONFIRM>ceph</DR_CONFIRM>{text}")
    assert datastore_hook.on_datastore(frontend, frontend.element) == "started failover"
    assert [request.accept_unsigned for request in started] == [accepted]
    left = from_element(frontend.element.find("TEMPLATE"))
    assert not any(get(left, key) for key in ("DR_ACTION", "DR_CONFIRM", "DR_ACCEPT_UNSIGNED"))


def test_a_word_without_an_action_does_not_wait_for_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onedr.protection.keeper_lock.wake_keeper", lambda _: None)
    frontend: Any = FrontEnd("<DR_CONFIRM>ceph</DR_CONFIRM><DR_ACCEPT_UNSIGNED>YES</DR_ACCEPT_UNSIGNED>")
    datastore_hook.on_datastore(frontend, frontend.element)
    left = from_element(frontend.element.find("TEMPLATE"))
    assert (get(left, "DR_ACCEPT_UNSIGNED"), get(left, "DR_CONFIRM")) == ("", "ceph")
