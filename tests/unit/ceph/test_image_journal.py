"""Reading an image's journal: what is unknown for sure is not said."""
from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph.image_journal import newest_tag_is_ours

SITE = b"c61da6bc-242f-443f-9ede-9f00df138f6e"
# Recorded from Ceph 16.2.15: a copy's tags, the second one after its first change of hands.
COPY = (
    b"\x01\x01Q\x00\x00\x00" + bytes(16) + b"=\x00\x00\x00$\x00\x00\x00" + SITE + bytes(21),
    b"\x01\x01u\x00\x00\x00\x01"
    + bytes(15)
    + b"a\x00\x00\x00$\x00\x00\x00"
    + SITE
    + b"$\x00\x00\x00"
    + SITE
    + bytes(17),
)


def tag(owner: bytes, number: int = 0, of: int = 0, oldest: int = 1) -> bytes:
    data = struct.pack("<I", len(owner)) + owner + bytes(21)
    return struct.pack("<BBIQQI", 1, oldest, 20 + len(data), number, of, len(data)) + data


def key(number: int) -> str:
    return f"tag_{number:016x}"


def test_a_copy_is_the_peers() -> None:
    assert newest_tag_is_ours({key(0): COPY[0], key(1): COPY[1]}) is False
    assert newest_tag_is_ours({key(0): COPY[0], key(1): tag(b"", 1)}) is True


@given(st.lists(st.sampled_from([b"", SITE, b"<orphan>"]), min_size=1, max_size=40))
def test_the_newest_counts(owners: list[bytes]) -> None:
    tags = {key(number): tag(owner, number) for number, owner in reversed(list(enumerate(owners)))}
    assert newest_tag_is_ours(tags) is (owners[-1] == b"")


def test_what_is_in_doubt_is_not_said() -> None:
    assert newest_tag_is_ours({}) is None
    assert newest_tag_is_ours({key(0): tag(b"", of=0), key(1): tag(b"", of=1)}) is None
    assert newest_tag_is_ours({key(0): tag(b"", oldest=2)}) is None


@given(st.binary(max_size=29))
def test_a_torn_tag_is_not_read(torn: bytes) -> None:
    assert newest_tag_is_ours({key(0): torn}) is None
    assert newest_tag_is_ours({key(0): torn, key(1): tag(b"", 1)}) is None


@given(st.binary(max_size=200))
def test_noise_raises_nothing(noise: bytes) -> None:
    assert newest_tag_is_ours({key(0): noise}) in (None, True, False)
