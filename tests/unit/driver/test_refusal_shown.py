"""A refused action is answered on its datastore: with what every user may read, and kept in the pool if it answers."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from onedr.ceph import connection
from onedr.driver import refusal
from onedr.model.errors import FrontEndError, PlanRefusedError, RefusedError, StorageError
from onedr.model.template import Pairs
from onedr.model.text import Sentence
from onedr.runs import datastore_message


class FrontEnd:
    def __init__(self, silent: bool = False):
        self.message, self.silent = "", silent

    def update_datastore(self, datastore_id: int, pairs: Pairs) -> None:
        if self.silent:
            raise FrontEndError("oned does not answer.")
        assert datastore_id == 100
        self.message = dict(pairs)["DR_MESSAGE"]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pool keeps."""
    found: list[str] = []

    @contextmanager
    def connect(*_: Any) -> Iterator[None]:
        yield None

    def refuse(_: Any, __: int, reason: str, now: float) -> str:
        found.append(reason)
        return datastore_message.refusal_message(reason, now)

    monkeypatch.setattr(connection, "connect", connect)
    monkeypatch.setattr(datastore_message, "refuse", refuse)
    return found


def refused(frontend: Any, error: Exception, shown: bool = True) -> str:
    data: Any = type("Data", (), {"datastore_id": 100, "access": None})
    with pytest.raises(type(error)), refusal.refusal_shown(frontend, data, shown):
        raise error
    return str(frontend.message)


@pytest.mark.parametrize(("error", "words"), [
    (PlanRefusedError(Sentence("VM secret runs there.", "1 VM(s) run there.")), "1 VM(s) run there."),
    (RefusedError(Sentence("It must be confirmed.")), "It must be confirmed."),
    (PlanRefusedError("VM secret runs there."), "plan-refused"),
])
def test_it_says_what_is_public_and_nothing_else(kept: list[str], error: RefusedError, words: str) -> None:
    said = refused(FrontEnd(), error)
    assert said.startswith("Refused at ") and words in said and "secret" not in said
    assert len(kept) == 1 and kept[0] in said


def test_a_dry_run_and_another_error_answer_nothing(kept: list[str]) -> None:
    assert refused(FrontEnd(), RefusedError("no"), shown=False) == ""
    assert refused(FrontEnd(), StorageError("Ceph does not answer.")) == "" and not kept


def test_where_the_pool_does_not_answer_it_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*_: Any) -> Any:
        raise StorageError("Ceph does not answer.")

    monkeypatch.setattr(connection, "connect", connect)
    assert "must be confirmed" in refused(FrontEnd(), RefusedError(Sentence("It must be confirmed.")))


def test_where_oned_does_not_answer_the_refusal_is_still_the_error(kept: list[str]) -> None:
    assert refused(FrontEnd(silent=True), RefusedError(Sentence("no"))) == "" and kept == ["no"]
