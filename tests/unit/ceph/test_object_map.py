"""What only a snapshot holds, counted from object maps in librbd's form."""
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph.encoding import UnknownFormatError
from onedr.ceph.object_map import count_held, written_objects

NONE, WRITTEN, PENDING, CLEAN = range(4)


def encoded(states: list[int]) -> bytes:
    data = bytearray((len(states) + 3) // 4)
    for at, state in enumerate(states):
        data[at // 4] |= state << 2 * (3 - at % 4)
    head = struct.pack("<BBIQ", 1, 1, 8, len(states))
    return struct.pack("<I", len(head)) + head + bytes(data) + b"crc of the data"


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=40))
def test_held_is_what_exists_and_changed_since(pairs: list[tuple[int, int]]) -> None:
    expected = sum(1 for now, then in pairs if now in (WRITTEN, CLEAN) and then != CLEAN)
    assert count_held(encoded([now for now, _ in pairs]), encoded([then for _, then in pairs])) == expected


def test_after_a_resize() -> None:
    assert count_held(encoded([CLEAN] * 9), encoded([CLEAN] * 3)) == 6, "the rest was cut off"
    assert count_held(encoded([CLEAN] * 3), encoded([CLEAN] * 3 + [WRITTEN] * 7)) == 0


def test_a_map_that_is_cut_off_tells_nothing() -> None:
    whole = encoded([CLEAN] * 9)
    for length in (0, 3, 10, 19):
        with pytest.raises(UnknownFormatError):
            count_held(whole[:length], whole)


@given(st.lists(st.lists(st.integers(0, 3), min_size=7, max_size=7), min_size=1, max_size=4))
def test_written_is_what_the_maps_do_not_call_unchanged_or_absent(maps: list[list[int]]) -> None:
    expected = [
        at for at in range(7)
        if any(states[at] != CLEAN for states in maps[1:]) and any(states[at] != NONE for states in maps)
    ]
    held, *later = (encoded(states) for states in maps)
    assert written_objects(held, later) == expected


def test_after_a_resize_what_was_cut_off_or_added_is_written() -> None:
    assert written_objects(encoded([CLEAN] * 9), [encoded([CLEAN] * 3)]) == list(range(3, 9))
    assert written_objects(encoded([CLEAN] * 3), [encoded([CLEAN] * 3 + [WRITTEN])]) == [3]
