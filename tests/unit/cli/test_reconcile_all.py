"""`onedr reconcile` without a datastore, as the timer runs it: every protected one, and a bad one stops no
other.
"""
from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from onedr.cli import main, run_action
from onedr.model.errors import StorageError
from onedr.opennebula import datastores
from onedr.runs.answer_events import ReconcileEvent

REPORT = ReconcileEvent(recorded=("a",), mirrored=("a", "b"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The datastores that were reconciled; the one with id 8 fails."""
    seen: list[str] = []

    def events(datastore: str, request: Any) -> Iterator[ReconcileEvent]:
        assert request.verb == "reconcile"
        seen.append(datastore)
        if datastore == "8":
            raise StorageError("Ceph does not answer.")
        yield REPORT

    monkeypatch.setattr(run_action, "events", events)
    monkeypatch.setattr(import_module("onedr.cli.reconcile"), "FrontEnd", lambda: None)
    found = {number: SimpleNamespace(name=name) for number, name in ((7, "gold"), (8, "silver"), (9, "lead"))}
    monkeypatch.setattr(datastores, "all_of", lambda frontend: found)
    return seen


def test_every_protected_datastore_is_reconciled_and_the_bad_one_named(asked: list[str]) -> None:
    done = CliRunner().invoke(main, ["reconcile"])
    assert asked == ["7", "8", "9"]
    assert done.exit_code == 5
    assert "silver: Ceph does not answer." in done.output and "Not reconciled: silver;" in done.output
    assert done.output.count("2 mirrored, 1 record(s) written, 0 begun") == 2


def test_a_named_one_alone(asked: list[str]) -> None:
    assert CliRunner().invoke(main, ["reconcile", "gold"]).exit_code == 0
    assert asked == ["gold"]
