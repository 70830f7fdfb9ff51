"""What users wrote is shown as text, by every verb: no markup, no control sequence, no line of its own."""
from __future__ import annotations

import json
import re
import subprocess
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Union

import pytest
from click.testing import CliRunner, Result

from onedr.cli import main, run_action
from onedr.model.errors import PlanRefusedError, RefusedError, plain
from onedr.pairing import run as pairing_run
from onedr.pairing import teardown as pairing_teardown
from onedr.pairing.collect import PairingTarget
from onedr.rejoin import boot_guard
from onedr.rejoin.guard import Guarded
from onedr.runs.answer_events import (
    ChainEvent,
    CheckEvent,
    DrillReportEvent,
    HistoryEvent,
    KeptEvent,
    MapEvent,
    ReconcileEvent,
    RunBookEvent,
    SnapshotsEvent,
    StatusEvent,
)
from onedr.runs.events import (
    ChangeEvent,
    Event,
    ItemEvent,
    NoteEvent,
    ProgressEvent,
    StepEvent,
    VerdictEvent,
)
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.plan_events import (
    ConversionPlanEvent,
    DrillPlanEvent,
    FailoverPlanEvent,
    PairingPlanEvent,
    ReprotectPlanEvent,
)
from onedr.runs.point_events import PointsEvent
from onedr.runs.recovery_plan_events import RecoveryPlanEvent

# What a user may call a VM or write into an attribute, and how it is shown.
HOSTILE = {
    "markup": ("[prod] db", "[prod] db"),
    "closing markup": ("[/x]", "[/x]"),
    "link": ("[link=http://203.0.113.1]click[/link]", "[link=http://203.0.113.1]click[/link]"),
    "emoji code": ("a:warning:b", "a:warning:b"),
    "escape": ("a\x1b[2Jb", "a?[2Jb"),
    "window title": ("a\x1b]0;root\x07b", "a?]0;root?b"),
    "C1 escape": ("a\u009b2Jb", "a?2Jb"),
    "right to left": ("a\u202egpj.exe", "a?gpj.exe"),
    "zero width": ("a\u200bb", "a?b"),
    "forged line": ("a\n  ok     failover done\r\nb", "a?  ok     failover done??b"),
    "backspaces": ("a\b\b\bb", "a???b"),
    "surrogate": ("a\udc9bb", "a?b"),
    "long": ("x" * 4096, "x" * 300),
    "wide": ("名前\u0301 ÄÖ", "名前\u0301 ÄÖ"),
    "braces": ("{0} %s $USER \\n", "{0} %s $USER \\n"),
}
_ENUMERATED: Mapping[str, tuple[str, ...]] = {
    "level": ("ok", "warning", "problem"), "what": ("act", "done", "wait", "leave"),
}


def made(kind: Any, text: str, name: str = "") -> Any:
    """A value of this type whose every text is `text`; of texts of a closed list, its last."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is str:
        return _ENUMERATED[name][-1] if name in _ENUMERATED else text
    if kind in (int, float, bool):
        return kind(1)
    if kind is Any:
        return text
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{one.name: made(hints[one.name], text, one.name) for one in fields(kind)
                       if one.name not in _EMPTY})
    if origin in (Union, getattr(types, "UnionType", Union)):
        return made(inner[0], text, name)
    if origin is tuple:
        return tuple(made(one, text, name) for one in inner if one is not Ellipsis)
    if origin is list:
        return [made(inner[0], text, name)]
    if origin in (dict, Mapping):
        return {made(inner[0], text): made(inner[1], text)}
    raise AssertionError(f"{kind} of {name}")


_EMPTY = ("refusal", "refusals", "unknown")  # a refused plan shows less; there is a test of its own


def journal(text: str) -> HistoryEvent:
    entry = made(JournalEntry, text)
    entry.run, entry.plan = "1", None
    return HistoryEvent(text, {"1": json.loads(json.dumps(entry.to_json()))})


def drill_report(text: str) -> DrillReportEvent:
    vm = {"name": text, "recovery_point": 1.0, "passed_after_s": 1.0, "result": text, "why": text}
    report = {
        "result": text, "began": 1.0, "by": {"user": text}, "reasons": [text],
        "rto": {"measured_s": 1.0, "objective_s": 1.0}, "vms": [vm], "cleanup": None,
    }
    return DrillReportEvent(report, {"page": text, "json": text, "sha256": text})


def kinds(*classes: type[Event]) -> Any:
    return lambda text: [made(kind, text) for kind in classes]


_RUN = (ProgressEvent, StepEvent, VerdictEvent)
SHOWN: Mapping[tuple[str, ...], Any] = {
    ("status",): kinds(StatusEvent),
    ("check",): kinds(ProgressEvent, CheckEvent),
    ("history",): lambda text: [journal(text)],
    ("history", "--verify"): kinds(ChainEvent),
    ("history", "1"): lambda text: [journal(text)],
    ("kept",): kinds(KeptEvent),
    ("snapshots",): kinds(SnapshotsEvent),
    ("points",): kinds(PointsEvent),
    ("runbook",): kinds(RunBookEvent),
    ("reconcile",): kinds(ReconcileEvent),
    ("cancel",): kinds(ProgressEvent),
    ("pause",): kinds(ProgressEvent),
    ("resume-protection",): kinds(ProgressEvent),
    ("map",): lambda text: [MapEvent("ceph", "[names]\n", 1, warnings=(text,))],
    ("map", "--versions"): kinds(MapEvent),
    ("recovery-plan", "show"): kinds(RecoveryPlanEvent),
    ("recovery-plan", "check"): kinds(RecoveryPlanEvent),
    ("recovery-plan", "history"): kinds(RecoveryPlanEvent),
    ("recovery-plan", "edit", "--remove"): kinds(RecoveryPlanEvent),
    ("drill", "report"): lambda text: [drill_report(text)],
    ("drill", "start"): kinds(DrillPlanEvent, StepEvent, VerdictEvent),
    ("drill", "cleanup"): kinds(DrillPlanEvent, StepEvent, VerdictEvent),
    ("move",): kinds(FailoverPlanEvent, StepEvent, VerdictEvent),
    ("failover",): kinds(FailoverPlanEvent, StepEvent, VerdictEvent),
    ("failback",): kinds(FailoverPlanEvent, StepEvent, VerdictEvent),
    ("reprotect",): kinds(ReprotectPlanEvent, *_RUN),
    ("resume",): kinds(FailoverPlanEvent, ReprotectPlanEvent, *_RUN),
    ("abort",): kinds(StepEvent, VerdictEvent),
    ("enable",): kinds(ConversionPlanEvent, ItemEvent, VerdictEvent),
    ("disable",): kinds(ConversionPlanEvent, ItemEvent, VerdictEvent),
    ("setup",): kinds(PairingPlanEvent, ChangeEvent, NoteEvent, VerdictEvent),
    ("teardown",): kinds(PairingPlanEvent, ChangeEvent, NoteEvent, VerdictEvent),
}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a verb that gets these events; its output."""
    def run(verb: tuple[str, ...], events: list[Event], *options: str) -> Result:
        monkeypatch.setattr(run_action, "_events", lambda *_: iter(events))
        monkeypatch.setattr(pairing_run, "run_setup", lambda *_: iter(events))
        monkeypatch.setattr(pairing_teardown, "run_teardown", lambda *_: iter(events))
        monkeypatch.setattr("onedr.pairing.collect.of_datastore", lambda _: PairingTarget("one"))
        words = verb[:1] + ("ceph",) + verb[1:] if verb[0] == "history" else (*verb, "ceph")
        words += ("web",) if verb[0] == "recovery-plan" and verb[1] != "show" else ()
        unasked = ["--yes"] if verb[0] in ("setup", "teardown") else []
        return CliRunner().invoke(main, [*words, *unasked, *options])

    return run


def is_text_only(output: str, expected: str) -> None:
    """Nothing but printable characters and line ends; the text is there, however a table folded it."""
    assert all(letter.isprintable() or letter == "\n" for letter in output), repr(output[:500])
    assert "\n  ok     failover done" not in output
    assert _squeezed(expected) in _squeezed(output), output[:2000]


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("verb", SHOWN, ids=" ".join)
def test_every_verb_shows_it_as_text(shown: Any, verb: tuple[str, ...], name: str) -> None:
    text, expected = HOSTILE[name]
    done = shown(verb, SHOWN[verb](text))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in (0, 6), done.output
    is_text_only(done.output, expected)


@pytest.mark.parametrize("kind", [FailoverPlanEvent, DrillPlanEvent, ReprotectPlanEvent])
@pytest.mark.parametrize("name", HOSTILE)
def test_the_reason_of_a_refused_plan_too(shown: Any, kind: type[Any], name: str) -> None:
    text, _ = HOSTILE[name]
    verb = {FailoverPlanEvent: ("move",), DrillPlanEvent: ("drill", "start"), ReprotectPlanEvent: ("reprotect",)}
    done = shown(verb[kind], [kind("ceph", refusal=text)])
    assert done.exit_code == PlanRefusedError.exit_code, done.exception
    is_text_only(done.output, plain(text)[:300])


@pytest.mark.parametrize("name", HOSTILE)
def test_the_guards_answers_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    text, expected = HOSTILE[name]
    answer = boot_guard.Answer(text, False, text, made(Guarded, text))
    monkeypatch.setattr(boot_guard, "guard_all", lambda _: [answer])
    done = CliRunner().invoke(main, ["guard"])
    assert done.exit_code == RefusedError.exit_code, done.exception
    is_text_only(done.output, expected)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_progress_bar_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A terminal gets rich's own control sequences; ours must not be among them."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    text, _ = HOSTILE[name]
    events = [made(ItemEvent, text), made(VerdictEvent, text)]
    monkeypatch.setattr(run_action, "events", lambda *_: iter(events))
    output = CliRunner().invoke(main, ["enable", "ceph"])
    assert output.exception is None, output.exception
    for theirs in ("\x1b]0;root", "a\x1b[2J", "\u009b", "\u202e", "\b", "\x07"):
        assert theirs not in output.output


COMPLAINING = """\
#!{python}
import sys
sys.stdin.read()
print("WARN: a\\x1b[2Jb [/x]", file=sys.stderr)
"""


def test_warnings_of_a_driver_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    action = tmp_path / "action"
    action.write_text(COMPLAINING.format(python=sys.executable))
    action.chmod(0o755)
    client = (
        "import sys\nfrom lxml import etree\nfrom onedr.cli import main, run_action\n"
        "class FrontEnd:\n    def find_datastore(self, name):\n"
        "        return etree.fromstring('<DATASTORE><ID>1</ID><NAME>ceph</NAME></DATASTORE>')\n"
        f"run_action.FrontEnd = FrontEnd\nrun_action.start_action.command = lambda verb: {str(action)!r}\n"
        "main(['kept', 'ceph'])\n"
    )
    done = subprocess.run([sys.executable, "-c", client], capture_output=True, text=True, timeout=60)
    assert done.stderr == "WARN: a?[2Jb [/x]\n", done


@pytest.mark.parametrize("name", HOSTILE)
def test_json_says_the_text_itself(shown: Any, name: str) -> None:
    """Programs get what the user wrote, escaped as JSON escapes it."""
    text, _ = HOSTILE[name]
    done = shown(("status",), SHOWN[("status",)](text), "--json")
    assert json.loads(done.output)["vms"][0]["name"] == text and done.output.isascii()
