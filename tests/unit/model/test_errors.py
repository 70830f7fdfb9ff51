"""Every error has a code of its own, which docs/errors.md explains and which survives the way over a bridge."""
from __future__ import annotations

import re
from pathlib import Path

import pytest

from onedr.cli import error_docs
from onedr.model import errors
from onedr.model.errors import FrontEndError, OneDRError, RunInProgressError

PAGE = Path(__file__).parents[3] / "docs/errors.md"


def test_the_page_is_made_from_the_classes() -> None:
    assert PAGE.read_text() == error_docs.page()


def test_every_class_says_its_own_code_meaning_and_remedy() -> None:
    error_docs.load_all()
    for kind in errors.all_errors():
        assert {"word", "meaning", "todo"} <= vars(kind).keys(), kind.__name__
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.word)
    words = [kind.word for kind in errors.all_errors()]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("error", [RunInProgressError("a"), FrontEndError("b", 1024), OneDRError("c")])
def test_an_error_comes_back_over_a_bridge_as_it_was(error: OneDRError) -> None:
    again = errors.from_wire(errors.to_wire(error))
    assert (type(again), str(again), again.word, again.exit_code) == (
        type(error), str(error), error.word, error.exit_code)


def test_an_error_that_this_release_does_not_know_keeps_its_code() -> None:
    again = errors.from_wire({"kind": "MoonError", "message": "full", "code": None, "word": "moon-full"})
    assert (type(again), again.word) == (OneDRError, "moon-full")
