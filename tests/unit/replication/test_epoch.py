"""Terms on images: what is not this image's own, or is damaged, never counts as one."""
from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.model.records import Epoch
from onedr.replication import epoch


class Image:
    """As much of an RBD image as a term needs."""

    def __init__(self, global_id: str = "own") -> None:
        self.global_id = global_id

    def mirror_image_get_info(self) -> dict[str, Any]:
        return {"global_id": self.global_id}

    def get_name(self) -> str:
        return "one-1"


GOOD = {"term": 3, "fsid": "f", "site": "north", "at": 5.0, "point": 4.5, "id": "own"}


def read(value: str) -> Epoch | None:
    return epoch.read_epoch(Image(), {epoch.KEY: value})


def test_a_term_is_read_as_it_was_written() -> None:
    assert read(json.dumps(GOOD)) == Epoch(3, "f", "north", 5.0, 4.5)
    assert read(json.dumps({**GOOD, "point": None})) == Epoch(3, "f", "north", 5.0, None)
    assert epoch.read_epoch(Image(), {}) is None


def test_one_that_ceph_handed_on_from_a_parent_is_none() -> None:
    assert read(json.dumps({**GOOD, "id": "the parent's"})) is None


@pytest.mark.parametrize(
    "change", [{"term": "x"}, {"term": None}, {"at": "x"}, {"point": []}, {"term": 1e999}]
)
def test_a_damaged_one_is_there_and_cannot_be_read(change: dict[str, Any]) -> None:
    assert read(json.dumps({**GOOD, **change})) == epoch.UNREADABLE


@given(
    st.text()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "term", "x"]), inner),
        max_leaves=5,
    ).map(json.dumps)
)
def test_no_metadata_whatever_raises(value: str) -> None:
    found = read(value)
    assert found is None or found == epoch.UNREADABLE


@given(st.integers(-1, 10**6))
def test_the_next_term_is_higher_than_any_before(number: int) -> None:
    following = epoch.next_epoch(Epoch(number, "", "", 0.0, None))
    assert following > number
    assert number >= 0 or following >= int(time.time()) - 5, (
        "after a damaged one: higher than anything counted"
    )
    assert epoch.next_epoch(None) == 1


numbers = st.none() | st.integers(-1, 10**6)


@given(numbers, numbers)
def test_the_next_term_is_higher_than_that_of_either_site(here: int | None, there: int | None) -> None:
    known = [None if number is None else Epoch(number, "", "", 0.0, None) for number in (here, there)]
    following = epoch.next_epoch(*known)
    assert all(following > number for number in (here, there) if number is not None)
    assert following == epoch.next_epoch(*reversed(known)) or -1 in (here, there)
