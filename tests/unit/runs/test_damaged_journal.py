"""A damaged journal of a run hides no other, and no run is continued or judged by it."""
from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import omap
from onedr.model.errors import StorageError
from onedr.runs import history, journal
from onedr.runs.journal_entry import Aborted, JournalEntry, StepsDone, VmOutcome, asked_again, started_steps

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


DAMAGED: tuple[dict[str, Any], ...] = (
    {"steps": [{"kind": "promote", "at": 0, "of": "x"}]}, {"steps": [{"kind": "promote", "at": 0, "seconds": 5}]},
    {"steps": [{"kind": "promote", "at": 0, "seconds": {"one-1": "long"}}]}, {"steps": [{"kind": [], "at": 0}]},
    {"vms": None}, {"vms": [{"origin": "a", "rto_s": "x"}]}, {"vms": [{"origin": []}]}, {"plan": {"steps": 5}},
    {"plan": {"steps": [5]}}, {"plan": {"steps": [{}]}}, {"began": float("inf")}, {"began": 10**39}, {"took_s": float("nan")},
    {"done": {"one-1": []}}, {"loss": {"f:1": "much"}}, {"abort": {"by": 5, "trigger": "x", "at": 0}}, {"ended": {"a": []}},
)


@pytest.mark.parametrize("damage", DAMAGED, ids=str)
def test_what_is_damaged_deep_within_is_found_where_it_is_read(damage: dict[str, Any]) -> None:
    """Not where a run is continued, a plan shows the last drills' times, or the history is listed."""
    with pytest.raises(StorageError, match="is damaged"):
        journal._read(POOL, "run.1700000000000-move", json.dumps({**GOOD, **damage}).encode())


def used(entry: JournalEntry) -> None:
    """What resume, abort, plans and the history do with a journal."""
    assert entry.kinds == started_steps([entry])
    entry.planned_targets("promote")
    history.row(history.judged(entry, ""))
    history.steps(entry)
    history.measured({entry.run: history.with_measured(entry, {"f:1": 1.0})}, {"f:1": 1.0})
    asked_again(entry, "ada", "test")
    time.gmtime(entry.began)
    json.dumps(entry.to_json())


def test_one_that_has_all_its_parts_is_read_as_it_was_written() -> None:
    whole = JournalEntry(
        "1700000000000-move", "move", "h:1:2", 1.0, steps=[StepsDone("promote", 2.0, 1, {"one-1": 0.5}, {"one-1": "done"})],
        vms=(VmOutcome("f:1", "web", "b", 4, "", 1.5, None, loss_bytes=7),), plan={"steps": [{"kind": "promote", "target": "one-1"}]},
        done={"one-1": "primary"}, failed={"f:2": "why"}, ended={"promote one-1": 3.0}, loss={"f:1": None}, loss_bytes={"f:1": 3},
        warnings={"f:1": ("text",)}, rollback={"one-1": "is primary there"}, abort=Aborted("ada", "onedr", 5.0), datastore_id=100,
    )
    found = JournalEntry.from_json(json.loads(json.dumps(whole.to_json())))
    assert (found.vms, found.steps, found.abort, found.loss) == (whole.vms, whole.steps, whole.abort, whole.loss)
    used(found)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_any_value_in_any_field_is_read_or_named(field: str, value: Any) -> None:
    text = json.dumps({**GOOD, field: value}).encode()
    try:
        entry = journal._read(POOL, "run.1700000000000-move", text)
    except StorageError:
        return
    assert isinstance(entry.began, (int, float)) and isinstance(entry.message, str)
    used(entry)
