"""What a report is made from survives the way from the driver; only the report of the night is noted."""
from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import reports

from onedr.ceph import connection
from onedr.check import run as check_run
from onedr.cli import run_action
from onedr.model.types import Settings
from onedr.protection import age_history, report_timer, status
from onedr.replication import rehearsals
from onedr.report import collect
from onedr.report.page import Section, page
from onedr.runs import history, journal
from onedr.runs.answer_events import ReportEvent
from onedr.runs.request import Request


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Datastores of which a report of the night was noted; the pool's newest run says that it is in progress."""
    found: list[int] = []
    pool = SimpleNamespace(fsid=lambda: "0123456789")
    newest = [reports.run(3, "move", "RUNNING"), reports.run(2, "drill"), reports.run(1, "failover", "RUNNING")]
    for place, name, answer in (
        (connection, "connect", nullcontext(pool)), (check_run, "check", []), (check_run, "described", reports.report().findings),
        (status, "collect_status", None), (status, "shown", reports.status()), (journal, "newest_runs", newest),
        (journal, "in_progress", "3-move"), (journal, "load_measured", {"1-failover": {"fsid:7": 3.5}}),
        (age_history, "history", reports.ages()), (rehearsals, "last_turn", 0.0),
    ):
        monkeypatch.setattr(place, name, lambda *_, answer=answer, **__: answer)
    monkeypatch.setattr(report_timer, "note_made", lambda _, number, __: found.append(number))
    return found


def made(**changes: Any) -> ReportEvent:
    datastore: Any = SimpleNamespace(name="gold", datastore_id=100, access=None, settings=Settings(site="south"))
    frontend: Any = None
    return collect.collect(datastore, frontend, Request("report", by="ada@front-end", trigger="onedr", **changes))


def test_it_survives_the_way_from_the_driver_and_makes_a_page(noted: list[int]) -> None:
    told = run_action.read_event(json.loads(json.dumps(made().to_json())))
    assert isinstance(told, ReportEvent) and (told.site, told.by, told.rehearsed) == ("south", "ada@front-end (onedr)", None)
    assert told.status == reports.status() and told.ages == reports.ages() and list(told.runs) == ["1-failover", "2-drill", "3-move"]
    assert page([Section("gold", told)], reports.NOW, "ada")


def test_a_run_that_died_is_told_from_the_one_in_progress_and_the_loss_is_what_was_found(noted: list[int]) -> None:
    runs = made().runs
    assert (runs["1-failover"]["result"], runs["3-move"]["result"]) == (history.INTERRUPTED, "RUNNING")
    assert runs["1-failover"]["vms"][0]["measured_s"] == 3.5


@pytest.mark.parametrize(("attributes", "expected"), [((), []), ((("KEPT", "YES"),), [100])])
def test_only_the_report_of_the_night_is_noted(noted: list[int], attributes: Any, expected: list[int]) -> None:
    made(attributes=attributes)
    assert noted == expected
