"""`onedr runbook`: to a terminal, to a file that its owner alone may read, or why there is none."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from onedr.cli import main, run_action
from onedr.runs.answer_events import RunBookEvent

LINES = ("# Run book", "", "```sh", "rbd ls", "```")


@pytest.fixture
def event(monkeypatch: pytest.MonkeyPatch) -> list[RunBookEvent]:
    told = [RunBookEvent("ceph", LINES)]
    monkeypatch.setattr(run_action, "_events", lambda *_: iter(told))
    return told


def asked(*words: str) -> Result:
    return CliRunner().invoke(main, ["runbook", "ceph", *words])


def test_it_is_printed_line_by_line(event: list[RunBookEvent]) -> None:
    done = asked()
    assert done.exit_code == 0 and done.output == "\n".join(LINES) + "\n"


def test_a_file_gets_the_same_and_is_its_owners_alone(event: list[RunBookEvent], tmp_path: Path) -> None:
    file = tmp_path / "book.md"
    file.write_text("an older one")
    file.chmod(0o644)
    done = asked("--output", str(file))
    assert done.exit_code == 0 and "5 lines" in done.output
    assert file.read_text() == "\n".join(LINES) + "\n" and file.stat().st_mode & 0o777 == 0o600


def test_as_a_page_the_same_commands_are_there(event: list[RunBookEvent], tmp_path: Path) -> None:
    file = tmp_path / "book.html"
    done = asked("--html", "--output", str(file))
    assert done.exit_code == 0 and file.stat().st_mode & 0o777 == 0o600
    assert '<pre class="here">rbd ls</pre>' in file.read_text() and asked("--html").output == file.read_text()


def test_a_file_that_cannot_be_written_is_named(event: list[RunBookEvent], tmp_path: Path) -> None:
    done = asked("--output", str(tmp_path / "missing" / "book.md"))
    assert done.exit_code == 1 and "missing/book.md cannot be written" in done.output


@pytest.mark.parametrize("words", [(), ("--output", "/nonexistent/book.md")])
def test_without_anything_to_recover_it_says_why_once(event: list[RunBookEvent], words: tuple[str, ...]) -> None:
    event[:] = [RunBookEvent("ceph", refusal="Nothing to take over.")]
    done = asked(*words)
    assert done.exit_code == 2 and done.output.count("Nothing to take over.") == 1


def test_json_is_one_object(event: list[RunBookEvent]) -> None:
    assert json.loads(asked("--json").output)["lines"] == list(LINES)
