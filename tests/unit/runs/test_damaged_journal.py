"""A damaged journal of a run hides no other, and no run is continued or judged by it."""
from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import omap
from onedr.model.errors import StorageError
from onedr.runs import journal
from onedr.runs.journal_entry import JournalEntry

GOOD = JournalEntry("1700000000000-move", "move", "front-end 1", 1700000000.0, result="DONE").to_json()
POOL: Any = SimpleNamespace(access=SimpleNamespace(pool="one"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5,
)


def stored(monkeypatch: pytest.MonkeyPatch, **runs: bytes) -> None:
    found = {f"run.{key.replace('_', '-')}": value for key, value in runs.items()}
    monkeypatch.setattr(omap, "read_all", lambda *_: found)
    monkeypatch.setattr(omap, "list_keys", lambda *_: list(found))
    monkeypatch.setattr(omap, "read_keys", lambda pool, name, keys: {key: found[key] for key in keys})


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"run": 1}', b'{"run": "x", "verb": "move", "owner": "o"}'])
def test_history_shows_the_others_and_says_which_is_damaged(monkeypatch: pytest.MonkeyPatch, text: bytes) -> None:
    good = json.dumps(GOOD).encode()
    stored(monkeypatch, **{"1700000000000_move": good, "1700000001000_failover": text})
    first, second = journal.load_runs(POOL).values()
    assert (first.result, second.result, second.verb, second.began) == ("DONE", "UNREADABLE", "failover", 1700000001.0)
    assert "rados -p one rmomapkey" in second.message
    with pytest.raises(StorageError, match="1700000001000-failover is damaged"):
        journal.last_run(POOL)


def test_a_damaged_run_before_the_newest_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    newest = json.dumps({**GOOD, "run": "1700000002000-move"}).encode()
    stored(monkeypatch, **{"1700000001000_failover": b"{", "1700000002000_move": newest})
    last = journal.last_run(POOL)
    assert last is not None and last.run == "1700000002000-move"


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_value_in_any_field_is_read_or_named(field: str, value: Any) -> None:
    text = json.dumps({**GOOD, field: value}).encode()
    try:
        entry = journal._read(POOL, "run.1700000000000-move", text)
    except StorageError:
        return
    assert isinstance(entry.began, (int, float)) and isinstance(entry.message, str)
    entry.to_json()
