"""Several datastores may share a pool and its journals: what is resumed, aborted or shown is a datastore's own run."""
from __future__ import annotations

import json
from typing import Any

import pytest

from onedr.ceph import omap
from onedr.runs import journal
from onedr.runs.journal_entry import JournalEntry

POOL: Any = object()


def entry(number: int, verb: str, datastore_id: int | None, result: str = "RUNNING") -> JournalEntry:
    return JournalEntry(f"{number}-{verb}", verb, "h:1:2", 5.0, result=result, datastore_id=datastore_id)


@pytest.mark.parametrize(("runs", "asked", "found"), [
    ([entry(1, "move", 100), entry(2, "failover", 101)], 100, "1-move"),
    ([entry(1, "move", 100), entry(2, "failover", 101)], 101, "2-failover"),
    ([entry(1, "move", 100), entry(2, "failover", 101)], None, "2-failover"),
    ([entry(1, "move", 101)], 100, None),
    ([entry(1, "move", None)], 100, "1-move"),  # of a release that did not say: it counts as before
    ([entry(1, "move", 100), entry(2, "move", 100, "REFUSED")], 100, "1-move"),
    ([entry(1, "move", 100), entry(2, "drill", 100)], 100, "1-move"),
])
def test_the_last_run_is_of_this_datastore(
    monkeypatch: pytest.MonkeyPatch, runs: list[JournalEntry], asked: int | None, found: str | None
) -> None:
    kept = {f"{journal._RUN}{run.run}": json.dumps(run.to_json()).encode() for run in runs}
    monkeypatch.setattr(omap, "list_keys", lambda pool, name, prefix: sorted(kept))
    monkeypatch.setattr(omap, "read_keys", lambda pool, name, keys: {key: kept[key] for key in keys})
    last = journal.last_run(POOL, ("drill",), asked)
    assert (last.run if last else None) == found


def test_a_journal_says_whose_it_is() -> None:
    assert JournalEntry.from_json(entry(1, "move", 100).to_json()).datastore_id == 100
    with pytest.raises(TypeError, match="datastore_id"):
        JournalEntry.from_json({**entry(1, "move", 100).to_json(), "datastore_id": "100"})
