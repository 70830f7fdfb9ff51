"""What `onedr setup` notes: the value of before the first run, whoever runs it again or dies on the way."""
from __future__ import annotations

import json
from typing import Any

import pytest

from onedr.model.errors import StorageError
from onedr.pairing import undo_log
from onedr.pairing.facts import Change, ChangeKind, Recorded
from onedr.pairing.undo_log import Joined, Offer, UndoLog

NAME = "client.rbd-mirror x"


class Store:
    """The monitors' store, as far as a ledger needs it."""

    def __init__(self, value: str | None = None) -> None:
        self.value = value

    def stored(self, _: str) -> str | None:
        return self.value

    def store(self, _: str, value: str | None) -> None:
        self.value = value


def setting(before: str | None, after: str | None) -> Change:
    return Change(ChangeKind.SETTING, NAME, before, after, "text", "cost")


def before_of(undo: UndoLog) -> str | None:
    return next(each.before for each in undo.changes if each.key == NAME)


def test_a_second_run_keeps_the_value_of_before_the_first() -> None:
    undo = UndoLog()
    undo.announce([setting("5", "0.5")], "host")
    undo.announce([setting("0.5", "1")], "host")
    assert before_of(undo) == "5" and len(undo.changes) == 1


def test_a_run_that_died_before_the_change_keeps_it_too() -> None:
    undo = UndoLog()
    undo.announce([setting(None, "0.5")], "host")
    undo.announce([setting(None, "0.5")], "host")
    assert before_of(undo) is None


def test_what_somebody_set_meanwhile_is_what_was_before() -> None:
    undo = UndoLog()
    undo.announce([setting("5", "0.5")], "host")
    undo.announce([setting("3", "0.5")], "host")
    assert before_of(undo) == "3"


def test_what_is_known_afterwards_only_is_settled_then() -> None:
    undo = UndoLog()
    key, peer = (
        Change(ChangeKind.KEY, "/k", None, "a new one", "text", "cost"),
        Change(ChangeKind.PEER, "one", None, "b", "t", "c", "one"),
    )
    undo.announce([key, peer], "h")
    assert [each.after for each in undo.changes] == [None, None]
    undo.settle({(ChangeKind.KEY, "/k"): "digest", (ChangeKind.PEER, "one"): "uuid"})
    assert [(each.after, each.host) for each in undo.changes] == [("digest", "h"), ("uuid", "")]


def test_an_offer_notes_that_a_peer_will_come() -> None:
    undo = UndoLog()
    undo.announce([Change(ChangeKind.OFFER, "/f", None, "/f", "text", "cost", "one")], "h")
    assert undo.changes == [Recorded(ChangeKind.PEER, "one", None, None, "one")] and undo.pools() == {
        "one"
    }


def test_it_reads_back_and_an_empty_one_leaves_nothing() -> None:
    undo, store = UndoLog(offers={"o": Offer("one", "/f", "host", 5.0)}, joined={"id": Joined("b", 1.0)}), Store()
    undo.announce([setting("5", "0.5")], "host")
    undo.save(store)  # type: ignore[arg-type]
    stored = json.loads(str(store.value))
    assert stored["offers"] == {"o": {"pool": "one", "path": "/f", "host": "host", "expires": 5.0}}
    assert stored["joined"] == {"id": {"site": "b", "at": 1.0}}
    assert undo_log.load_undo_log(store) == undo  # type: ignore[arg-type]
    undo.changes = []
    undo.offers = {}
    undo.save(store)  # type: ignore[arg-type]
    assert store.value is None and undo_log.load_undo_log(store) == UndoLog()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[]",
        "{}",
        '{"schema": 2, "changes": [], "offers": {}, "joined": {}}',
        '{"schema": 1, "changes": [{"kind": "moon"}], "offers": {}, "joined": {}}',
    ],
)
def test_one_that_is_spoilt_is_never_taken_for_none(text: str) -> None:
    found: Any = Store(text)
    with pytest.raises(StorageError, match="onedr/setup"):
        undo_log.load_undo_log(found)
