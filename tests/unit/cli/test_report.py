"""`onedr report`: a page or JSON, of one datastore or all; and what the next one compares itself with."""
from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result
from lxml import etree

from onedr.cli import main, report_process, run_action
from onedr.host import paths
from onedr.model.errors import OneDRError, StorageError
from onedr.opennebula import datastores
from onedr.report import kept
from onedr.runs.answer_events import ReportEvent, StatusEvent
from onedr.runs.events import PeerShown
from onedr.runs.request import Request

MOMENT = 1_800_000_000.0
cli_report = importlib.import_module("onedr.cli.report")  # its verb has the same name


def event(state: str = "PROTECTED", name: str = "gold") -> ReportEvent:
    shown = StatusEvent(name, state, "SAFE", "primary", "All is well.", 1, 1, "JOURNAL", PeerShown("", "answers"))
    run = {"run": "1-move", "verb": "move", "owner": "host:1:1", "began": MOMENT, "result": "DONE"}
    return ReportEvent(name, "north", MOMENT, "ada (onedr)", shown, runs={"1-move": run})


class Site:
    """Datastores by id: what is told of each, or why nothing can be."""

    def __init__(self) -> None:
        self.told: dict[str, ReportEvent | OneDRError] = {"100": event()}
        self.asked: list[Request] = []

    def events(self, datastore: str, request: Request) -> Any:
        self.asked.append(request)
        found = self.told[datastore]
        if isinstance(found, OneDRError):
            raise found
        yield found

    def find_datastore(self, _: object) -> etree._Element:
        return etree.fromstring("<DATASTORE><ID>100</ID><NAME>gold</NAME></DATASTORE>")

    datastore = find_datastore


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Site:
    found = Site()
    monkeypatch.setattr(run_action, "events", found.events)
    monkeypatch.setattr(cli_report, "FrontEnd", lambda **_: found)
    monkeypatch.setattr(report_process, "FrontEnd", lambda **_: found)
    monkeypatch.setattr(datastores, "protected", lambda _: {"gold": "100", "silver": "101"})
    monkeypatch.setattr(paths, "front_end_paths", lambda: SimpleNamespace(state=tmp_path / "var", log=tmp_path / "log"))
    monkeypatch.chdir(tmp_path)
    return found


def asked(*words: str) -> Result:
    return CliRunner().invoke(main, ["report", *words])


def test_one_file_that_its_owner_alone_may_read(site: Site, tmp_path: Path) -> None:
    done = asked("gold", "--html", "--output", "today.html")
    assert done.exit_code == 0, done.output
    made = tmp_path / "today.html"
    assert made.stat().st_mode & 0o777 == 0o600 and "All is well." in made.read_text()
    assert asked("gold", "--html").exit_code == 0 and len(list(tmp_path.glob("onedr-report-*.html"))) == 1


def test_the_next_one_tells_of_changes_since(site: Site, tmp_path: Path) -> None:
    asked("gold", "--html", "--output", "a.html")
    site.told["100"] = event("DEGRADED")
    asked("gold", "--html", "--output", "b.html")
    asked("gold", "--html", "--output", "c.html")
    assert "This is the first report" in Path("a.html").read_text()
    assert "State: DEGRADED; it was PROTECTED." in Path("b.html").read_text()
    assert "Nothing changed." in Path("c.html").read_text()


@pytest.mark.parametrize("damaged", ["", "[]", "{}", '{"status": 5}', "[" * 100_000])
def test_a_damaged_note_of_the_last_one_counts_as_none(site: Site, damaged: str) -> None:
    asked("gold", "--html", "--output", "a.html")
    (kept.folder() / "100.json").write_text(damaged)
    assert asked("gold", "--html", "--output", "b.html").exit_code == 0
    assert "This is the first report" in Path("b.html").read_text()


def test_without_a_datastore_all_are_in_it_and_one_that_cannot_be_read_hides_no_other(site: Site) -> None:
    site.told["101"] = StorageError("Ceph does not answer")
    assert asked("--html", "--output", "a.html").exit_code == 0
    told = Path("a.html").read_text()
    assert "All is well." in told and "Ceph does not answer" in told
    shown = json.loads(asked("--json").output)
    assert [each["event"] for each in shown] == ["report", "error"]


@pytest.mark.parametrize("words", [(), ("--html", "--json")])
def test_it_says_what_to_choose(site: Site, words: tuple[str, ...]) -> None:
    done = asked("gold", *words)
    assert done.exit_code == 2 and "--html" in done.output and not site.asked


def test_a_file_that_cannot_be_written_is_named_and_nothing_is_kept(site: Site) -> None:
    done = asked("gold", "--html", "--output", "missing/a.html")
    assert done.exit_code == 1 and "missing/a.html cannot be written" in done.output
    assert kept.last(100) is None


def test_the_report_of_the_night_is_replaced_and_asks_to_be_noted(site: Site) -> None:
    report_process.main(100)
    first = kept.page_path(100).read_text()
    site.told["100"] = replace(event(), site="changed-site")
    report_process.main(100)
    assert "changed-site" in kept.page_path(100).read_text() and "changed-site" not in first
    assert kept.page_path(100).stat().st_mode & 0o777 == 0o640
    assert all(("KEPT", "YES") in request.attributes for request in site.asked)


def test_a_night_without_ceph_keeps_the_last_one(site: Site) -> None:
    report_process.main(100)
    before = kept.page_path(100).read_bytes()
    site.told["100"] = StorageError("Ceph does not answer")
    report_process.main(100)
    assert kept.page_path(100).read_bytes() == before
