"""One statement says until when many marks hold: believed where it is authentic, and never at the site that made it."""
from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, THERE

from onedr.replication import quiet_marks
from onedr.replication.quiet_marks import decode, digest, encode, extended, newest
from onedr.replication.records import MARK_KEY, VALUE_LIMIT
from onedr.replication.recovery_point import Point
from onedr.replication.signature import Signer, derived

SIGNER = Signer(derived(bytes(64)), "an-id/one-1")
marks = st.sets(st.binary(min_size=8, max_size=8), max_size=20)
moments = st.floats(0, 4e9)


@given(marks, moments, st.sampled_from([None, SIGNER]))
def test_what_was_stated_is_read_at_the_other_site(
    stated: set[bytes], until: float, signer: Signer | None
) -> None:
    text = encode(THERE, until, stated, signer)
    assert decode(text, signer, HERE) == dict.fromkeys(stated, round(until, 3))
    assert decode(text, signer, THERE) == {}, "its own images are no copies that it speaks of"


def test_at_a_site_with_a_key_only_an_authentic_statement_counts() -> None:
    mark = digest("id", "text")
    text = encode(THERE, 100.0, [mark], SIGNER)
    assert decode(text, SIGNER, HERE)
    for forged in (
        encode(THERE, 100.0, [mark], None),
        json.dumps({**json.loads(text), "until": 900.0}),
        json.dumps({**json.loads(text), "fsid": "another"}),
        encode(THERE, 100.0, [mark], SIGNER._replace(image="an-id/one-2")),
        encode(THERE, 100.0, [mark], SIGNER._replace(key=derived(b"x" * 64))),
    ):
        assert decode(forged, SIGNER, HERE) == {}


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_damage_states_nothing(text: str) -> None:
    assert decode(text, None, HERE) == {} and decode(text, SIGNER, HERE) == {}


@pytest.mark.parametrize("change", [
    {"until": float("nan")}, {"until": float("inf")}, {"until": "soon"}, {"marks": "AAAA"}, {"marks": "?"}, {"marks": 3},
])
def test_a_part_that_cannot_be_read_states_nothing(change: dict[str, object]) -> None:
    whole = json.loads(encode(THERE, 100.0, [digest("id", "text")], None))
    assert decode(json.dumps({**whole, **change}), None, HERE) == {}


def test_the_largest_statement_is_a_value_that_a_record_may_have() -> None:
    many = {number.to_bytes(8, "big") for number in range(quiet_marks.MOST_MARKS)}
    assert len(encode(THERE, 4e9, many, SIGNER)) < VALUE_LIMIT


@given(st.lists(st.dictionaries(st.binary(max_size=1), moments, max_size=4), max_size=4))
def test_of_several_statements_the_last_moment_counts(statements: list[dict[bytes, float]]) -> None:
    found = newest(statements)
    assert found.keys() == {mark for each in statements for mark in each}
    assert all(until == max(each[mark] for each in statements if mark in each) for mark, until in found.items())


@given(moments, moments)
def test_it_extends_the_point_of_this_very_mark_of_this_very_image(at: float, until: float) -> None:
    point, stated = Point(True, at), {digest("id", "text"): until}
    assert extended(point, "id", {MARK_KEY: "text"}, stated) == Point(True, max(at, until))
    for global_id, metadata in (("id", {MARK_KEY: "other"}), ("other", {MARK_KEY: "text"}), ("id", {})):
        assert extended(point, global_id, metadata, stated) == point


def test_a_mark_that_does_not_count_is_not_made_to_count() -> None:
    assert extended(Point(False, None), "id", {MARK_KEY: "text"}, {digest("id", "text"): 9.0}).at is None
