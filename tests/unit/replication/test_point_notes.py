"""Points in time: what is noted is read where it is authentic; complete is what every disk has."""
from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, image

from onedr.model.errors import InputError
from onedr.model.records import ImageFacts, PointNote
from onedr.replication.point_locks import locked_until
from onedr.replication.points import KEY, decode, encode
from onedr.replication.records import VALUE_LIMIT
from onedr.replication.signature import Signer, derived
from onedr.replication.vm_points import VmPoint, lock_end, moment_name, newest, of_vm, when

SIGNER = Signer(derived(bytes(64)), "an-id/one-1")
snapshots = st.from_regex(r"\.group\.[0-9a-f]{1,4}_[0-9a-f]{1,12}_[0-9a-f]{1,12}", fullmatch=True)
rounded = st.floats(0, 4e9).map(lambda at: round(at, 3))
notes = st.dictionaries(
    snapshots, st.builds(PointNote, rounded, rounded, st.text(max_size=100), st.just(0.0) | rounded), max_size=10
)


@given(notes, st.sampled_from([None, SIGNER]))
def test_what_was_noted_is_read(noted: dict[str, PointNote], signer: Signer | None) -> None:
    assert decode(encode(HERE, noted, signer, 100.0), signer) == noted


def test_at_a_site_with_a_key_only_authentic_notes_count() -> None:
    text = encode(HERE, {".group.2_a_b": PointNote(5.0, 0.1)}, SIGNER, 100.0)
    assert decode(text, SIGNER)
    head = json.loads(text)
    for forged in (
        {**head, "points": {"2_a_b": [9.0, 0.1, ""]}}, {**head, "fsid": "x"}, {**head, "mac": ""}, {**head, "mac": None},
    ):
        assert decode(json.dumps(forged), SIGNER) == {}
    assert decode(text, SIGNER._replace(image="an-id/one-2")) == {}


def test_notes_of_releases_before_locked_nothing_and_are_read() -> None:
    text = encode(HERE, {".group.2_a_b": PointNote(5.0, 0.1, "why")}, SIGNER, 100.0)
    assert "until" not in json.loads(text), "notes without a lock are as they always were"
    assert decode(text, SIGNER) == {".group.2_a_b": PointNote(5.0, 0.1, "why", 0.0)}


def test_no_lock_is_made_shorter_by_writing_to_the_metadata() -> None:
    head = json.loads(encode(HERE, {".group.2_a_b": PointNote(5.0, 0.1, "", 900.0)}, SIGNER, 100.0))
    assert decode(json.dumps({**head, "until": {"2_a_b": 6.0}}), SIGNER) == {}
    assert decode(json.dumps({**head, "until": []}), None) == {}


@pytest.mark.parametrize(("now", "until"), [(100.0, 900.0), (899.0, 900.0), (900.0, 0.0)])
def test_a_lock_is_in_force_until_its_moment_where_the_snapshot_is(now: float, until: float) -> None:
    noted = {".group.2_a_b": PointNote(5.0, 0.1, "", 900.0), ".group.2_a_c": PointNote(5.0, 0.1, "pinned")}
    values = {KEY: encode(HERE, noted, SIGNER, 100.0)}
    assert locked_until(values, {".group.2_a_b", ".group.2_a_c"}, now) == until
    assert locked_until(values, {".group.2_a_c"}, now) == 0.0, "the metadata of a copy names what it has not"
    assert locked_until({}, {".group.2_a_b"}, now) == 0.0


@pytest.mark.parametrize(("text", "until"), [
    ("2027-01-31", 1801353600.0), ("2027-01-31 17:15 UTC", 1801415700.0), ("20270131T171500Z", 1801415700.0),
])
def test_a_date_until_which_a_point_is_locked(text: str, until: float) -> None:
    assert lock_end(text, 1796058900.0) == until


@pytest.mark.parametrize("text", ["2026-11-30", "2036-12-31", "2027-02-30", "tomorrow", "2027-1-31", ""])
def test_no_lock_for_the_past_or_for_ever(text: str) -> None:
    with pytest.raises(InputError):
        lock_end(text, 1796058900.0)


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_damage_notes_nothing(text: str) -> None:
    assert decode(text, None) == {} and decode(text, SIGNER) == {}


@pytest.mark.parametrize("entry", [[1], ["x", 1, ""], [float("nan"), 0, ""], [-1, 0, ""], {"at": 1}, None])
def test_an_entry_that_cannot_be_read_notes_nothing(entry: Any) -> None:
    assert decode(json.dumps({"generation": 1, "fsid": "a", "points": {"2_a_b": entry}}), None) == {}


def test_as_many_as_may_be_kept_fit_in_one_value() -> None:
    many = {f".group.ffff_{number:012x}{number:012x}_{number:024x}": PointNote(4e9, 99.999) for number in range(220)}
    assert len(encode(HERE, many, SIGNER, 4e9)) < VALUE_LIMIT


def disk(name: str, *held: str, noted: tuple[str, ...] = ("a", "b"), **changes: Any) -> ImageFacts:
    at = {"a": 100.0, "b": 200.0}
    return image(
        name, points={each: PointNote(at[each], 0.1) for each in noted}, group_snapshots=frozenset(held), **changes
    )


def test_at_the_standby_complete_is_what_every_copy_has() -> None:
    found = of_vm([disk("one-1", "a", "b"), disk("one-2", "a")])
    assert [(point.snapshot, point.complete, point.lacking) for point in found] == [
        ("a", True, ()), ("b", False, ("one-2",)),
    ]
    assert newest(found) == found[0]
    assert newest(found, until=99.0) is None


def test_the_note_of_one_disk_is_enough() -> None:
    found = of_vm([disk("one-1", "a", noted=("a",)), disk("one-2", "a", noted=())])
    assert [point.complete for point in found] == [True]


def test_a_copy_that_is_not_complete_or_stale_has_no_point() -> None:
    bads: list[dict[str, Any]] = [{"complete": False}, {"stale": True}]
    for bad in bads:
        assert [point.complete for point in of_vm([disk("one-1", "a"), disk("one-2", "a", **bad)])] == [False, False]


def test_at_the_primary_the_copies_decide() -> None:
    disks = [disk("one-1", "a", "b", primary=True), disk("one-2", "a", "b", primary=True)]
    there = {"one-1": frozenset({"a", "b"}), "one-2": frozenset({"a"})}
    assert [point.complete for point in of_vm(disks, there)] == [True, False]
    assert [point.complete for point in of_vm(disks, {})] == [False, False]
    assert [point.complete for point in of_vm(disks)] == [None, None], "the peer was not read"
    assert [point.complete for point in of_vm([disk("one-1", "a", primary=True)])] == [None, False]


@pytest.mark.parametrize(("text", "at"), [
    ("20261130T171500Z", 1796058900.0), ("2026-11-30 17:15 UTC", 1796058900.0), ("2026-11-30T17:15:07Z", 1796058907.0),
])
def test_a_moment_that_a_person_gives(text: str, at: float) -> None:
    assert when(text) == at


@pytest.mark.parametrize("text", ["", "now", "2026-13-30 17:15 UTC", "2026-11-30 25:15 UTC", "2026-11-30 17:15", "20261130T171500"])
def test_anything_else_is_no_moment(text: str) -> None:
    with pytest.raises(InputError, match="onedr points"):
        when(text)


@given(st.floats(0, 4e9))
def test_a_points_name_is_a_moment_that_names_it(at: float) -> None:
    point = VmPoint("a", PointNote(at, 0.0), True)
    assert newest([point], when(point.name)) == point
    assert newest([point], when(point.name) - 1) is None


@given(st.integers(0, 253402300799))
def test_a_points_name_is_utc(at: int) -> None:
    assert moment_name(at) == time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at)).zfill(16)
    assert when(moment_name(at)) == at
