"""What a verb tells reaches the datastore's document, and a front-end that is slow or gone holds up no run."""
from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from one_omap import one_omap

from onedr.ceph import connection
from onedr.document import place
from onedr.driver import document_actions, document_echo, failover_actions
from onedr.driver.document_echo import RunEcho
from onedr.driver.tell import emit, heard_by
from onedr.model.errors import FrontEndError, RefusedError
from onedr.model.types import CephAccess, Settings
from onedr.opennebula.datastores import Datastore
from onedr.protection import keeper_lock
from onedr.runs.events import StepEvent, VerdictEvent
from onedr.runs.plan_events import FailoverPlanEvent, StepShown
from onedr.runs.request import Request

TARGET = Datastore(100, "ceph", CephAccess("one"), Settings(protect=True, site="south"))
PLAN = FailoverPlanEvent("ceph", steps=(StepShown("promote", "one-1", "promote one-1", 9, "", "", ""),), digest="d" * 12)
DONE = StepEvent("promote", "one-1", "promote one-1", "done", "", 0.1)
LIMIT_S = 10.0


class Written:
    """What was put into the document; `silent`: oned answers nothing; `hangs`: until it is let go."""

    def __init__(self) -> None:
        self.parts: list[dict[str, Any]] = []
        self.silent, self.hangs = False, threading.Event()
        self.hangs.set()
        self.came = threading.Condition()
        self.noted, self.woken = False, 0

    def put(self, parts: Mapping[str, str]) -> None:
        self.hangs.wait()
        if self.silent:
            raise FrontEndError("oned does not answer.")
        with self.came:
            self.parts.append({key: json.loads(text) for key, text in parts.items()})
            self.came.notify_all()

    def wait(self, seen: Callable[[], bool]) -> None:
        with self.came:
            assert self.came.wait_for(seen, LIMIT_S)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    made = Written()

    @contextmanager
    def connect(*_: Any) -> Iterator[Any]:
        yield SimpleNamespace(fsid=lambda: "0123abcd-x")

    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr(place, "Document", lambda *_: made)
    monkeypatch.setattr(place, "note_run", lambda *_: setattr(made, "noted", True))
    monkeypatch.setattr(place, "forget_run", lambda *_: setattr(made, "noted", False))
    monkeypatch.setattr(document_echo, "FrontEnd", lambda **_: None)
    monkeypatch.setattr(document_echo, "_EVERY_S", 0.01)
    monkeypatch.setattr(keeper_lock, "wake_keeper", lambda _: setattr(made, "woken", made.woken + 1))
    return made


def echo() -> RunEcho:
    return RunEcho(TARGET, Request("failover", by="ann"))


def test_a_run_is_shown_while_it_lasts_and_then_no_more(written: Written) -> None:
    run = echo()
    with heard_by(run.take):
        emit(PLAN)
        written.wait(lambda: bool(written.parts))
        assert written.parts[0]["PLAN"] is None, "a plan of before is out of date"
        assert written.parts[0]["RUN"]["verb"] == "failover"
        assert written.noted
        emit(DONE)
        written.wait(lambda: written.parts[-1]["RUN"]["steps_done"] == 1)
        emit(VerdictEvent("done"))
    run.close()
    assert written.parts[-1] == {"RUN": None}
    assert not written.noted
    assert written.woken == 1


def test_a_refused_run_is_not_shown(written: Written) -> None:
    run = echo()
    run.take(FailoverPlanEvent("ceph", refusal="no"))
    run.close()
    assert (written.parts, written.woken) == ([], 0)


def test_after_an_abort_the_keeper_looks(written: Written) -> None:
    run = echo()
    run.take(VerdictEvent("rolled back"))
    run.close()
    assert (written.parts, written.woken) == ([], 1)


def test_a_front_end_that_hangs_holds_up_no_run(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_echo, "_END_LIMIT_S", 0.2)
    written.hangs.clear()
    run, begun = echo(), time.monotonic()
    with heard_by(run.take):
        for event in (PLAN, *[DONE] * 100):
            emit(event)
    assert time.monotonic() - begun < 1
    run.close()
    assert time.monotonic() - begun < LIMIT_S / 2
    assert written.noted, "the keeper empties RUN later"
    written.hangs.set()
    assert run._thread is not None
    run._thread.join(LIMIT_S)  # while what it calls is replaced


def test_what_was_not_taken_is_tried_again(written: Written) -> None:
    written.silent = True
    run = echo()
    run.take(PLAN)
    time.sleep(0.05)
    written.silent = False
    run.take(DONE)
    written.wait(lambda: bool(written.parts))
    assert written.parts[0]["PLAN"] is None
    run.close()
    assert written.parts[-1] == {"RUN": None}


def planned(written: Written, monkeypatch: pytest.MonkeyPatch, verb: Any, word: str | None = None) -> dict[str, Any]:
    data: Any = SimpleNamespace(datastore_id=100, datastore_name="ceph", access=TARGET.access, target=TARGET)
    one_omap(monkeypatch)
    monkeypatch.setattr(document_actions, "FrontEnd", lambda: SimpleNamespace(update_datastore=lambda *_: None))
    monkeypatch.setattr(failover_actions, "failover", verb)
    word = "FAILOVER" if word is None else word
    asked = Request("plan", confirm="", by="ann", attributes=(("PLAN", word), ("REQUEST", "page-1")))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=lambda _: 0, flush=lambda: None))
    document_actions.plan(data, asked)
    (found,) = written.parts
    return dict(found["PLAN"])


def test_a_plan_is_a_dry_run_of_its_verb(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def verb(_: Any, request: Request) -> None:
        asked.append(request)
        emit(PLAN)

    found = planned(written, monkeypatch, verb)
    assert (asked[0].verb, asked[0].dry_run) == ("failover", True)
    assert (found["verb"], found["confirm"], found["request"]) == ("FAILOVER", f"ceph:{'d' * 12}", "page-1")


def test_why_there_is_no_plan_is_shown(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    def verb(*_: Any) -> None:
        raise FrontEndError("oned is too busy.")

    with pytest.raises(FrontEndError):
        planned(written, monkeypatch, verb)
    assert written.parts[0]["PLAN"]["error"] == "oned is too busy."


@pytest.mark.parametrize("word", ["", "DISABLE", "PLAN", "RESUME", "../failover", "x" * 5000])
def test_no_other_verb_is_planned(written: Written, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("it was begun")

    with pytest.raises(RefusedError, match="DR_PLAN") as found:
        planned(written, monkeypatch, never, word)
    assert len(str(found.value)) < 200
    assert not written.parts
