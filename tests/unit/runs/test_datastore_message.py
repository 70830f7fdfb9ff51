"""DR_MESSAGE: a refusal is shown beside the state for a while, and whoever writes at the same moment loses none."""
from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_omap import one_omap

from onedr.ceph import omap
from onedr.model.errors import plain
from onedr.model.template import Pairs
from onedr.runs import datastore_message
from onedr.runs.datastore_message import SHOWN_S, refusal_message

NOW, DATASTORE = 1_790_000_000.0, 100
POOL: Any = None


@pytest.fixture(autouse=True)
def values(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    return one_omap(monkeypatch)


def refused(now: float = NOW) -> str:
    return datastore_message.refused(POOL, DATASTORE, now)


@given(st.text(), st.integers(0, SHOWN_S - 1))
def test_a_refusal_is_shown_for_a_while(reason: str, age: int) -> None:
    said = datastore_message.refuse(POOL, DATASTORE, reason, NOW)
    assert refused(NOW + age) == said == refusal_message(plain(reason), NOW)
    assert datastore_message.refused(POOL, 101, NOW) == ""


@pytest.mark.parametrize("later", [SHOWN_S + 2, -120])
def test_then_only_the_state_is_shown_again(later: int) -> None:
    datastore_message.refuse(POOL, DATASTORE, "no", NOW)
    assert refused(NOW + later) == ""


def test_a_run_that_begins_ends_it_and_one_refused_while_it_runs_is_shown() -> None:
    datastore_message.refuse(POOL, DATASTORE, "unconfirmed", NOW)
    datastore_message.run_began(POOL, DATASTORE, NOW + 5)
    assert refused(NOW + 6) == ""
    datastore_message.refuse(POOL, DATASTORE, "another run is in progress", NOW + 7)
    assert "in progress" in refused(NOW + 8)


@given(st.binary(max_size=9) | st.sampled_from([b"[]", b"5", b'["x", "y"]', b"[1e999, 1]", b"{}", b"null"]))
def test_a_damaged_entry_shows_nothing_and_is_replaced(text: bytes) -> None:
    omap.write_keys(POOL, "", {str(DATASTORE): text, f"{DATASTORE}.since": b"0"})
    refused()
    datastore_message.refuse(POOL, DATASTORE, "no", NOW)
    assert refused() == refusal_message("no", NOW)


class FrontEnd:
    """oned, and what others do between each call of a writer and the next."""

    def __init__(self, others: Callable[[int], None] = lambda _: None):
        self.message, self.writes, self._others = "", 0, others

    def update_datastore(self, _: int, pairs: Pairs) -> None:
        self.message = dict(pairs)["DR_MESSAGE"]
        self.writes += 1
        self._others(self.writes)


def written(frontend: Any, beside: Callable[[], str] = refused) -> str:
    datastore_message.show(frontend, DATASTORE, (("DR_STATE", "STANDBY"),), "Ready.", beside)
    return str(frontend.message)


def test_the_state_is_written_once_and_the_refusal_beside_it() -> None:
    assert written(FrontEnd()) == "Ready."
    datastore_message.refuse(POOL, DATASTORE, "no", NOW)
    frontend = FrontEnd()
    assert (written(frontend), frontend.writes) == (f"Ready. {refusal_message('no', NOW)}", 1)


@pytest.mark.parametrize("at", ["between its read and its write", "after its write"])
def test_a_refusal_that_comes_while_another_writes_is_not_lost(at: str) -> None:
    """The hook keeps it in the pool, then writes DR_MESSAGE; the keeper's write comes between or after."""
    def hook(_: int = 0) -> None:
        if not refused():
            frontend.message = datastore_message.refuse(POOL, DATASTORE, "its DR_REQUEST was used before", NOW)

    def reads() -> str:
        found = refused()
        if at == "between its read and its write":
            hook()  # its own write to oned is overwritten at once
        return found

    frontend = FrontEnd(hook if at == "after its write" else lambda _: None)
    assert written(frontend, reads) == f"Ready. {refusal_message('its DR_REQUEST was used before', NOW)}"


@given(st.lists(st.sampled_from(["keeper", "run"]), min_size=1, max_size=3), st.integers(0, 40))
def test_in_whichever_order_several_write_the_refusal_is_there_at_the_end(writers: list[str], at: int) -> None:
    """Each writer reads, writes, reads; one refusal comes at any of these moments, its own write last or first."""
    omap.write_keys(POOL, "", {str(DATASTORE): b"null"})
    steps = 0
    frontend = FrontEnd()

    def moment() -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            frontend.message = datastore_message.refuse(POOL, DATASTORE, "no", NOW)

    def reads() -> str:
        moment()
        found = refused()
        moment()
        return found

    frontend._others = lambda _: moment()
    for _ in writers:
        written(frontend, reads)
    assert ("Refused at" in frontend.message) == (0 < at <= steps)


def test_a_writer_gives_up_where_others_change_it_without_end() -> None:
    counted = iter(range(1000))
    frontend = FrontEnd()
    written(frontend, lambda: str(next(counted)))
    assert frontend.writes == 5


def test_what_the_hook_could_not_keep_the_keeper_keeps(values: dict[str, bytes]) -> None:
    alone = refusal_message("Ceph does not answer", NOW)
    datastore_message.adopt(POOL, DATASTORE, alone, NOW + 30)
    assert refused(NOW + 30) == alone
    datastore_message.refuse(POOL, DATASTORE, "a later one", NOW + 40)
    datastore_message.adopt(POOL, DATASTORE, alone, NOW + 50)
    assert "a later one" in refused(NOW + 50)


@given(st.text() | st.sampled_from(["Ready.", f"Ready. {refusal_message('no', NOW)}", "Refused at 2026-13-41 25:61:61Z: no",
                                    refusal_message("old", NOW - SHOWN_S - 5)]))
def test_other_messages_are_not_kept_as_refusals(message: str) -> None:
    omap.write_keys(POOL, "", {str(DATASTORE): b"null"})
    datastore_message.adopt(POOL, DATASTORE, message, NOW)
    assert refused() == ""


def test_what_is_kept_is_plain_json(values: dict[str, bytes]) -> None:
    datastore_message.refuse(POOL, DATASTORE, "no\x1b[2J", NOW)
    assert json.loads(values["100"]) == [NOW, "no?[2J"]
