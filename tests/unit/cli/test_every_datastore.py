"""`--all`: every plan first, one question, one verdict; what is refused or fails stops no other."""
from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from onedr.cli import every_datastore, main, run_action
from onedr.model.errors import InputError, OneDRError, PlanRefusedError, StillRunningError, StorageError
from onedr.opennebula import datastores
from onedr.runs.events import Event, PeerShown, VerdictEvent
from onedr.runs.plan_events import FailoverPlanEvent
from onedr.runs.request import Request

NAMES = {"gold": "7", "silver": "8", "lead": "9"}


def plan(name: str, verb: str) -> FailoverPlanEvent:
    return FailoverPlanEvent(
        name, verb, "", True, PeerShown("answers", "answers", "answers"), (), (), (), {}, {}, digest=f"d-{name}"
    )


class Site:
    """Datastores whose plans or runs end as told; what was asked of them."""

    def __init__(self) -> None:
        self.refused: dict[str, OneDRError] = {}
        self.ends: dict[str, OneDRError | str] = {}
        self.asked: list[tuple[str, str, bool, str]] = []

    def events(self, datastore: str, request: Request) -> Iterator[Event]:
        name = next(name for name, number in NAMES.items() if datastore in (name, number))
        self.asked.append((name, request.verb, request.dry_run, request.confirm))
        if request.dry_run:
            if name in self.refused:
                raise self.refused[name]
            yield plan(name, request.verb)
            return
        end = self.ends.get(name, "PROTECTING")
        if isinstance(end, OneDRError):
            raise end
        yield VerdictEvent("1 VM moved", end)

    @property
    def ran(self) -> list[tuple[str, str]]:
        return [(name, confirm) for name, _, dry, confirm in self.asked if not dry]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site()
    monkeypatch.setattr(run_action, "events", made.events)
    monkeypatch.setattr(every_datastore, "FrontEnd", lambda: None)
    monkeypatch.setattr(datastores, "protected", lambda _: {**NAMES, "odd": InputError("DR_RPO='x' is no duration.")})
    return made


def onedr(*words: str, typed: str = "") -> Result:
    return CliRunner().invoke(main, words, input=typed)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(every_datastore, "_is_terminal", lambda: True)


@pytest.mark.parametrize("verb", ["move", "failback"])
def test_each_runs_by_the_plan_that_was_shown_and_the_one_that_cannot_be_read_is_named(site: Site, verb: str) -> None:
    done = onedr(verb, "--all", "--yes")
    assert [(name, dry) for name, _, dry, _ in site.asked] == [
        ("gold", True), ("lead", True), ("silver", True), ("gold", False), ("lead", False), ("silver", False),
    ]
    assert site.ran == [("gold", "gold:d-gold"), ("lead", "lead:d-lead"), ("silver", "silver:d-silver")]
    assert {asked for _, asked, _, _ in site.asked} == {verb}
    assert done.exit_code == 5 and "Not everything was done: odd." in done.output
    assert "odd: DR_RPO='x' is no duration." in done.output


def test_one_that_is_refused_and_one_that_fails_stop_no_other(site: Site) -> None:
    site.refused["gold"] = PlanRefusedError("Nothing to take over in gold.")
    site.ends["lead"] = StorageError("Ceph does not answer.")
    done = onedr("move", "--all", "--yes", "--json")
    assert [name for name, _ in site.ran] == ["lead", "silver"]
    told = json.loads(next(line for line in reversed(done.output.splitlines()) if line.startswith("{")))
    became = {each["datastore"]: (each["state"], each["failed"]) for each in told["datastores"]}
    assert told["event"] == "all" and became["silver"] == ("PROTECTING", "")
    assert became["gold"] == ("", "Nothing to take over in gold.") and became["lead"] == ("", "Ceph does not answer.")
    assert done.exit_code == 5


def test_a_dry_run_runs_nothing(site: Site) -> None:
    assert onedr("move", "--all", "--dry-run").exit_code == 5  # `odd` cannot be read
    assert not site.ran and len(site.asked) == 3


def test_with_no_plan_left_nothing_is_asked_and_nothing_changed(site: Site) -> None:
    site.refused = {name: PlanRefusedError("split") for name in NAMES}
    done = onedr("failover", "--all", "--confirm", "ALL")
    assert done.exit_code == 2 and "Nothing was changed." in done.output and not site.ran


def test_a_failover_needs_the_word_and_yes_is_none(site: Site) -> None:
    done = onedr("failover", "--all", "--yes")
    assert done.exit_code == 2 and "--confirm ALL" in done.output and not site.asked
    assert len(onedr("failover", "--all", "--confirm", "ALL") and site.ran) == 3


@pytest.mark.parametrize(("typed", "runs"), [("ALL\n", 3), ("all\n", 0), ("yes\n", 0), ("\n", 0)])
def test_at_a_terminal_the_word_is_typed_once(
    site: Site, monkeypatch: pytest.MonkeyPatch, typed: str, runs: int
) -> None:
    at_a_terminal(monkeypatch)
    done = onedr("failover", "--all", typed=typed)
    assert len(site.ran) == runs and done.output.count("Type ALL") == 1


def test_after_ctrl_c_the_datastores_behind_are_not_begun(site: Site) -> None:
    site.ends["gold"] = StillRunningError("The move goes on without this command.")
    done = onedr("move", "--all", "--yes")
    assert done.exit_code == 8 and "Not begun: lead, silver." in done.output
    assert [name for name, _ in site.ran] == ["gold"]


@pytest.mark.parametrize("words", [
    ("gold", "--all"), ("--all", "--vm", "db"), ("--all", "--leave", "db"), ("--all", "--take", "one-1"),
    ("--all", "--confirm", "gold"), (),
])
@pytest.mark.parametrize("verb", ["move", "failover", "failback"])
def test_what_belongs_to_one_datastore_does_not_go_with_all(site: Site, verb: str, words: tuple[str, ...]) -> None:
    done = onedr(verb, *words, "--yes")
    assert done.exit_code == 1 and not site.asked, done.output
