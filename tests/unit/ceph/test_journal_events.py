"""Is a time mark the last change of an image? Said only where the journal shows it."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from journal_bytes import FINISH, FLUSH, SET_METADATA, SNAP_CREATE, WRITE, deal, entry

from onedr.ceph.journal_events import ends_with

KEY, MARK = "onedr.mark", '{"at": 1.5, "id": "a"}'
OURS = (SET_METADATA, KEY, MARK)
kinds = st.sampled_from([
    OURS, (WRITE, "", ""), (FLUSH, "", ""), (FINISH, "", ""), (SNAP_CREATE, "", ""),
    (SET_METADATA, KEY, "another mark"), (SET_METADATA, "onedr.vm", MARK),
])


def tails(events: list[tuple[int, str, str]], first: int = 0, tag: int = 3) -> list[bytes]:
    return deal((number, entry(tag, number, *event)) for number, event in enumerate(events, first))


@given(st.lists(kinds, max_size=12), st.integers(0, 9))
def test_it_is_the_last_change_exactly_when_only_its_end_and_flushes_follow(
    events: list[tuple[int, str, str]], first: int
) -> None:
    changes = [event for event in events if event[0] not in (FLUSH, FINISH)]
    assert ends_with(tails(events, first), KEY, MARK) == (changes[-1:] == [OURS])


@given(st.lists(kinds, max_size=6), st.integers(1, 6))
def test_a_write_of_a_later_client_is_a_change(events: list[tuple[int, str, str]], tag: int) -> None:
    found = tails([*events, OURS, (FINISH, "", "")], tag=tag)
    assert not ends_with([*found, entry(tag + 1, 0, WRITE)], KEY, MARK)
    assert not ends_with([*found, entry(tag + 1, 0, FINISH)], KEY, MARK), "its first entries may be under way"


@given(st.integers(2, 8))
def test_while_an_entry_is_missing_nothing_is_said(later: int) -> None:
    events = [OURS, *[(FINISH, "", "")] * later]
    for gap in range(1, later):
        kept = [(number, entry(3, number, *event)) for number, event in enumerate(events) if number != gap]
        assert not ends_with(deal(kept), KEY, MARK)


@given(st.binary(max_size=80), st.integers(0, 3))
def test_what_has_an_unknown_form_proves_nothing(noise: bytes, place: int) -> None:
    found = tails([OURS, (FINISH, "", "")])
    assert ends_with(found, KEY, MARK)
    found[place] += noise
    assert ends_with(found, KEY, MARK) == (noise == b"")


@pytest.mark.parametrize("cut", [1, 20, 40, 60])
def test_an_entry_that_is_cut_off_proves_nothing(cut: int) -> None:
    found = tails([OURS, (FINISH, "", "")])
    assert not ends_with([found[0], found[1][:-cut]], KEY, MARK)
