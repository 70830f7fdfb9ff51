"""The chain of journals: what was changed or removed after a run ended is found, by whichever way."""
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import omap
from onedr.host import log
from onedr.runs import chain, journal
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request


def history(*ends: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Links and journals after these runs ended in this order; a run may end again, amended."""
    links: dict[str, bytes] = {}
    journals: dict[str, bytes] = {}
    for number, run in enumerate(ends):
        journals[run] = f"{run} {number}".encode()
        newest = list(links.items())[-1] if links else None
        key, text = chain.next_link(newest, run, journals[run], 1000.0 + number)
        links[key] = text.encode()
    return links, journals


RUNS = st.lists(st.sampled_from(["1-move", "2-drill", "3-failover"]), min_size=1, max_size=8)


@given(RUNS)
def test_an_untouched_history_is_good(runs: list[str]) -> None:
    found = chain.verify(*history(*runs))
    assert not found.problems and not found.unlinked and found.links == len(runs) and len(found.head) == 64


@given(RUNS, st.data())
def test_a_changed_or_removed_journal_is_named(runs: list[str], data: st.DataObject) -> None:
    links, journals = history(*runs)
    run = data.draw(st.sampled_from(sorted(journals)))
    changed = chain.verify(links, {**journals, run: b"forged"})
    assert changed.problems == (f"the journal of run {run} was changed after its run ended",)
    del journals[run]
    assert chain.verify(links, journals).problems == (f"the journal of run {run} was removed",)


@given(RUNS.filter(lambda runs: len(runs) > 1), st.data())
def test_a_link_that_was_changed_or_taken_out_is_found(runs: list[str], data: st.DataObject) -> None:
    links, journals = history(*runs)
    key = data.draw(st.sampled_from(sorted(links)[:-1]))
    link = json.loads(links[key])
    # the forger makes link and journal fit each other
    forged = {**links, key: json.dumps({**link, "digest": chain.digest(b"forged")}).encode()}
    assert chain.verify(forged, {**journals, link["run"]: b"forged"}).problems
    assert chain.verify({each: links[each] for each in links if each != key}, journals).problems
    assert chain.verify({**links, key: b"{"}, journals).problems


def test_the_head_tells_of_an_end_that_was_cut_off() -> None:
    links, journals = history("1-move", "2-drill")
    whole = chain.verify(links, journals)
    links.popitem()
    cut = chain.verify(links, {"1-move": journals["1-move"]})
    assert not cut.problems and cut.head != whole.head


def test_runs_without_a_link_are_named_and_are_no_problem() -> None:
    links, journals = history("2-move")
    found = chain.verify(links, {"1-old": b"{}", **journals})
    assert found.unlinked == ("1-old",) and not found.problems
    assert chain.verify({}, {}) == chain.ChainVerdict(0, (), (), "")


class Held:
    """A lease that writes into this omap."""

    def __init__(self, values: dict[str, bytes]):
        self.values = values

    def write(self, values: dict[str, str]) -> None:
        self.values.update({key: text.encode() for key, text in values.items()})


def test_a_run_adds_a_link_when_it_ends_and_when_it_is_amended(monkeypatch: pytest.MonkeyPatch) -> None:
    values: dict[str, bytes] = {}
    monkeypatch.setattr(omap, "list_keys", lambda _, __, prefix: sorted(key for key in values if key.startswith(prefix)))
    monkeypatch.setattr(omap, "read_keys", lambda _, __, keys: {key: values[key] for key in keys if key in values})
    monkeypatch.setattr(omap, "read_all", lambda _, __, prefix: {key: values[key] for key in sorted(values) if key.startswith(prefix)})
    told: list[str] = []
    sent: list[dict[str, str]] = []

    def history(text: str, good: bool, **fields: str) -> None:
        told.append(text)
        sent.append({**fields, "good": str(good)})

    monkeypatch.setattr(log, "history", history)
    run: Any = journal.Run.__new__(journal.Run)
    run.pool, run._here, run._there, run.id, run.datastore = None, Held(values), None, "2-move", "ceph"
    entry = JournalEntry("2-move", "move", "host:1:2", 5.0, Request("move"))
    run.save(entry)
    assert not [key for key in values if key.startswith(chain.PREFIX)], "it has not ended"
    entry.result = "DONE"
    run.save(entry)
    old = JournalEntry("1-move", "move", "host:1:2", 4.0, Request("move"), result="INTERRUPTED", then="2-move")
    run.amend(old)
    found = journal.verify_chain(None)  # type: ignore[arg-type]
    assert (found.links, found.problems, found.unlinked) == (2, (), ())
    assert found.head in told[-1] and "1-move" in told[-1]
    assert [(each["run"], each["result"], each["link"], each["good"]) for each in sent] == [
        ("2-move", "DONE", "1", "True"), ("1-move", "INTERRUPTED", "2", "False"),
    ]
    assert sent[-1]["digest"] == found.head and {each["datastore"] for each in sent} == {"ceph"}
    values["run.2-move"] = values["run.2-move"].replace(b'"DONE"', b'"FAILED"')
    assert journal.verify_chain(None).problems  # type: ignore[arg-type]
