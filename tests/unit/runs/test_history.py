"""The journal of runs, told to people; and a request that comes back from it as it was asked."""
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.runs import history
from onedr.runs.journal_entry import JournalEntry, asked_again
from onedr.runs.request import Request

OLD: dict[str, Any] = {  # as the first releases wrote it
    "run": "1-failover",
    "verb": "failover",
    "owner": "host:7:99",
    "began": 100.0,
    "result": "DONE",
    "message": "Took over.",
    "steps": [],
    "failed": {},
}


def entry(**changes: Any) -> JournalEntry:
    return JournalEntry.from_json({**OLD, **changes})


@pytest.mark.parametrize(
    ("result", "in_progress", "expected"),
    [
        ("DONE", "", "DONE"),
        ("RUNNING", "", "INTERRUPTED"),
        ("RUNNING", "1-failover", "RUNNING"),
        ("RUNNING", "2-failover", "INTERRUPTED"),
        ("ABORTED", "", "ABORTED"),
    ],
)
def test_a_run_that_says_running_and_is_not_in_progress_died(
    result: str, in_progress: str, expected: str
) -> None:
    assert history.judged(entry(result=result), in_progress).result == expected


def test_a_row_shows_the_worst_of_its_vms() -> None:
    vms = [{"rto_s": 12.5, "rpo_s": None}, {"rto_s": 30.0, "rpo_s": 4.0}, {"rto_s": None, "rpo_s": 9.0}]
    row = history.row(entry(vms=vms, by="olga@desk", trigger="onedr", took_s=31.0))
    assert (row.rto_s, row.rpo_s, row.by, row.trigger, row.took_s) == (30.0, 9.0, "olga@desk", "onedr", 31.0)


def test_a_journal_of_an_earlier_release_is_told_too() -> None:
    row = history.row(entry())
    assert (row.by, row.rto_s, row.rpo_s, row.took_s) == ("host", None, None, None)
    old = {"kind": "promote", "at": 1.0, "seconds": {"one-1": 0.5}, "results": {"one-1": "promoted"}}
    assert history.steps(entry(steps=[old])) == [("promote", "one-1", 0.5, "promoted")]


def test_a_row_says_which_run_continued_it() -> None:
    assert "Run 2-failover continued it" in history.row(entry(then="2-failover")).message


def test_steps_that_were_begun_and_not_journaled_are_not_passed_over() -> None:
    begun = {"kind": "promote", "at": 1.0, "of": 3, "seconds": {"one-1": 0.5}, "results": {}}
    assert history.steps(entry(steps=[begun])) == [
        ("promote", "one-1", 0.5, ""), ("promote", "2 more", None, "begun, its end was not journaled"),
    ]


def test_what_a_newer_release_journaled_is_written_back() -> None:
    assert entry(moon="full").to_json()["moon"] == "full"


REQUESTS = st.builds(
    Request, verb=st.sampled_from(["failover", "failback"]), confirm=st.text(max_size=5),
    vms=st.lists(st.text(max_size=5), max_size=3).map(tuple), start=st.booleans(),
    attributes=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple),
    at=st.floats(1.0, 99.0),
)


@given(REQUESTS)
def test_a_request_from_the_journal_asks_for_the_same(request_: Request) -> None:
    told = JournalEntry("1-failover", request_.verb, "host:7:99", 100.0, request_).to_json()
    again = asked_again(JournalEntry.from_json(json.loads(json.dumps(told))), "otto", "onedr")
    assert (again.verb, again.confirm, again.vms, again.start, again.attributes, again.at) == (
        request_.verb, request_.confirm, request_.vms, request_.start, request_.attributes, request_.at)
    assert (again.by, again.trigger, again.resumes) == ("otto", "onedr", "1-failover")


def test_a_run_of_before_requests_were_journaled_asks_for_the_plain_verb() -> None:
    again = asked_again(entry(), "otto", "onedr")
    assert again == Request("failover", by="otto", trigger="onedr", at=100.0, resumes="1-failover")


def test_a_resumed_reprotect_forgets_no_loss_that_was_found_before_it_was_killed() -> None:
    earlier = {"1-failover": {"a:1": 10.8, "a:2": 3.0}, "0-failover": {"a:1": 99.0}}
    found = {"1-failover": {"a:2": 2.0, "a:3": 4.0}}
    assert history.with_earlier(found, earlier) == {"1-failover": {"a:1": 10.8, "a:2": 3.0, "a:3": 4.0}}
