"""Whatever stands in an image's metadata besides its records: it is read or refused, and every moment that comes
of it is one that a calendar has.
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from onedr.ceph import images
from onedr.model.errors import RecordError
from onedr.replication import clone_order, epoch, preserved_copies, quiet_marks, records
from onedr.replication.signature import Signer, derived

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.sampled_from([2**63, 10**400, -(10**30)]) | st.floats()
    | st.text(max_size=6) | st.sampled_from(["own", "x", "5", "\ud800", "9" * 5000])
)
ANY = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
                   max_leaves=4)
MARK = {"at": 5.0, "replaying": True}
TERM = {"term": 3, "fsid": "f", "site": "north", "at": 5.0, "point": 4.5, "id": "own"}
QUIET = {"generation": 5, "fsid": "f", "until": 5.0, "marks": "AAAAAAAAAAA=", "mac": "0"}
NOTE = {"fsid": "f", "snap": 7, "at": 5.0}
KEPT = {"image": "one-1", "vm": "web", "site": "north", "taken": 5.0, "expires": 9.0, "loss_s": None}
MADE = {"fsid": "f", "what": "image 7"}


def like(good: dict[str, Any]) -> st.SearchStrategy[str]:
    """The good one with a field replaced or missing, other JSON, or text that is none."""
    one = st.sampled_from(sorted(good))
    changed = st.builds(lambda key, value: {**good, key: value}, one, ANY)
    missing = one.map(lambda key: {name: value for name, value in good.items() if name != key})
    return (changed | missing | ANY).map(json.dumps) | st.text(max_size=20) | st.just("[" * 100_000)


def must_be_moments(*found: float | None) -> None:
    for at in found:
        assert at is None or time.gmtime(at).tm_year < 10_000


@given(like(MARK))
def test_a_time_mark(text: str) -> None:
    try:
        found = records.read_mark({records.MARK_KEY: text})
    except RecordError as error:
        assert "time mark" in str(error)
    else:
        assert found is not None
        must_be_moments(found.at)


@pytest.mark.parametrize("at", ["Infinity", "NaN", "-1", "1e300", "true", "9" * 400])
def test_a_moment_that_is_none_is_refused_where_it_is_read(at: str) -> None:
    """It would end the keeper, status and every plan that shows it."""
    with pytest.raises(RecordError, match="time mark"):
        records.read_mark({records.MARK_KEY: f'{{"at": {at}, "replaying": true}}'})
    assert epoch.epoch_in({epoch.KEY: json.dumps(TERM).replace("4.5", at)}, "own") == epoch.UNREADABLE


@given(like(QUIET), st.sampled_from([None, Signer(derived(bytes(64)), "an-id/one-1")]))
def test_the_statement_which_marks_hold(text: str, signer: Signer | None) -> None:
    found = quiet_marks.decode(text, signer, "here")
    must_be_moments(*found.values())
    assert signer is None or not found, "at a site with a key nothing of it counts"


@given(like(TERM))
def test_a_term(text: str) -> None:
    found = epoch.epoch_in({epoch.KEY: text}, "own")
    if found is not None:
        must_be_moments(found.at, found.point)
        assert json.dumps(epoch.next_epoch(found)), "and the next one can be written"


@given(like(NOTE))
def test_the_note_of_a_base(text: str) -> None:
    found = clone_order.read_note({clone_order.BASE_KEY: text})
    if found is not None:
        must_be_moments(found.at)


@given(like(MADE))
def test_who_made_an_image(text: str) -> None:
    found = images.creator_in({images.CREATOR_KEY: text})
    assert all(isinstance(value, str) for value in found.values())


@given(st.lists(like(KEPT), max_size=3))
@example([json.dumps({**KEPT, "expires": 10**400})])
def test_preserved_copies(texts: list[str]) -> None:
    """A damaged one is none of them; the others are listed."""
    values = {f"{preserved_copies.PREFIX}{number}": text for number, text in enumerate(texts)}
    values[f"{preserved_copies.PREFIX}good"] = json.dumps(KEPT)

    @contextmanager
    def image(name: str, read_only: bool) -> Iterator[Any]:
        yield SimpleNamespace(metadata_list=lambda: [(preserved_copies.KEY, values[name])], size=lambda: 1)

    pool: Any = SimpleNamespace(image=image, names=lambda: list(values))
    found = preserved_copies.all_copies(pool)
    assert f"{preserved_copies.PREFIX}good" in [each.name for each in found]
    must_be_moments(*(at for each in found for at in (each.taken, each.expires)))


def test_the_good_ones_are_read() -> None:
    assert records.read_mark({records.MARK_KEY: json.dumps(MARK)})
    assert epoch.epoch_in({epoch.KEY: json.dumps(TERM)}, "own") not in (None, epoch.UNREADABLE)
    assert clone_order.read_note({clone_order.BASE_KEY: json.dumps(NOTE)})
    assert images.creator_in({images.CREATOR_KEY: json.dumps(MADE)}) == MADE
