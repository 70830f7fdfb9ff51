"""`onedr setup` and `teardown` change nothing that was not confirmed."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from onedr.cli import main
from onedr.model.errors import InputError, RefusedError
from onedr.pairing import run as pairing_run
from onedr.pairing import teardown as pairing_teardown
from onedr.runs.events import VerdictEvent

Run = Callable[..., tuple[Result, list[bool]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a verb without a terminal: its result, and of each pass whether it was a dry run."""
    passes: list[bool] = []

    def setup(asked: pairing_run.SetupRequest) -> Any:
        passes.append(asked.dry_run)
        return iter([VerdictEvent("done", changed=1)])

    def teardown(_admin: object, _pool: str, dry_run: bool) -> Any:
        passes.append(dry_run)
        return iter([VerdictEvent("done", changed=1)])

    monkeypatch.setattr(pairing_run, "run_setup", setup)
    monkeypatch.setattr(pairing_teardown, "run_teardown", teardown)

    def invoke(*words: str) -> tuple[Result, list[bool]]:
        passes.clear()
        return CliRunner().invoke(main, list(words)), list(passes)

    return invoke


@pytest.mark.parametrize("verb", ["setup", "teardown"])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_without_a_terminal_the_changes_are_shown_and_not_made(run: Run, verb: str, more: tuple[str, ...]) -> None:
    done, passes = run(verb, "--pool", "one", *more)
    assert (done.exit_code, passes) == (RefusedError.exit_code, [True])
    assert "Nothing was changed" in done.output and "--yes" in done.output


@pytest.mark.parametrize("verb", ["setup", "teardown"])
@pytest.mark.parametrize(("option", "dry"), [("--yes", False), ("--dry-run", True)])
def test_yes_makes_them_and_a_dry_run_needs_none(run: Run, verb: str, option: str, dry: bool) -> None:
    done, passes = run(verb, "--pool", "one", option)
    assert (done.exit_code, passes) == (0, [dry])


@pytest.mark.parametrize("option", [("--peer-auth", "/x"), ("--peer-insecure",)])
def test_what_belongs_to_the_peers_address_is_not_taken_alone(run: Run, option: tuple[str, ...]) -> None:
    done, passes = run("setup", "--pool", "one", "--yes", *option)
    assert (done.exit_code, passes) == (InputError.exit_code, [])
    assert "--peer-endpoint" in done.output
