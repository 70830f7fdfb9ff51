"""Headers as RADOS stores them: what is known is read, anything else is left to librbd."""
from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph import image_header
from onedr.ceph.encoding import Decoder, UnknownFormatError
from onedr.ceph.image_header import MirrorState, Namespace, Parent, Snapshot, decode_header

# layering, exclusive-lock, object-map, fast-diff, deep-flatten, journaling, operations
FEATURES = 1 | 4 | 8 | 16 | 32 | 64 | 256


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def framed(body: bytes, version: int, oldest: int) -> bytes:
    return struct.pack("<BBI", version, oldest, len(body)) + body


def snapshot(
    name: str, namespace: int = 0, of: bytes = b"", version: int = 8, oldest: int = 8, taken_at: int = 0
) -> bytes:
    made_by = framed(struct.pack("<I", namespace) + of, 1, 1)
    rest = b"\0" + number(0) + made_by + struct.pack("<II", taken_at, 5) + bytes(4) + b"\0"
    return framed(number(4) + text(name) + number(1 << 20) + rest, version, oldest)


def copied(complete: bool = True, site: str = "there", state: int = 2, needed_by: tuple[str, ...] = ()) -> bytes:
    """What Ceph notes of a mirror snapshot."""
    peers = struct.pack("<I", len(needed_by)) + b"".join(map(text, needed_by))
    return bytes([state, complete]) + peers + text(site) + number(9)


def parent(image_id: str = "abc", pool: int = 2, overlap: bytes = b"\x01" + number(4096), version: int = 2) -> bytes:
    return framed(struct.pack("<q", pool) + text("") + text(image_id) + number(9) + overlap, version, version)


def header(**more: bytes) -> dict[str, bytes]:
    return {"size": number(1 << 30), "features": number(FEATURES), "object_prefix": text("rbd_data.x"), **more}


def test_size_metadata_snapshots_and_parent_are_read() -> None:
    found = decode_header(header(
        parent=parent(), **{"metadata_onedr.vm": b"{}", "metadata_z": "ä".encode()},
        snapshot_0000000000000004=snapshot("old"), snapshot_000000000000000a=snapshot("of a group", 1),
    ))
    assert found.size == 1 << 30 and found.metadata == {"onedr.vm": "{}", "z": "ä"}
    assert found.snapshots == (Snapshot("old", Namespace.USER), Snapshot("of a group", Namespace.GROUP))
    assert found.parent == Parent(2, "", "abc")


@pytest.mark.parametrize(("states", "ours"), [
    ((), None), ((0,), True), ((0, 1), False), ((2,), False), ((2, 3, 0), True), ((0, 2), False), ((3,), False),
])
def test_the_newest_mirror_snapshot_says_whose_the_image_is(states: tuple[int, ...], ours: bool | None) -> None:
    values = {
        f"snapshot_{4 + at:016x}": snapshot(".mirror", 3, copied(state=state)) for at, state in enumerate(states)
    }
    values["snapshot_00000000000000ff"] = snapshot("a user's, made last")
    found = decode_header(header(**values))
    assert image_header.is_primary(found) is ours
    assert [each.mirror for each in found.snapshots[:-1]] == [MirrorState(state) for state in states]


def test_an_unfinished_mirror_snapshot_is_not_complete() -> None:
    found = decode_header(header(
        snapshot_0000000000000004=snapshot(".mirror", 3, copied(False), taken_at=1700),
        create_timestamp=struct.pack("<II", 1699, 7),
    ))
    assert found.snapshots == (Snapshot(".mirror", Namespace.MIRROR, MirrorState.NON_PRIMARY, False, 1700),)
    assert found.made_at == 1699


@pytest.mark.parametrize(("noted", "orphan"), [
    (copied(), False), (copied(site=""), True), (copied(site="", needed_by=("x", "y")), True),
    (copied(site="", state=0), False), (copied(site="", state=3), False),
])
def test_a_snapshot_of_no_site_was_taken_by_a_promotion(noted: bytes, orphan: bool) -> None:
    (found,) = decode_header(header(snapshot_0000000000000004=snapshot(".mirror", 3, noted))).snapshots
    assert found.orphan is orphan


def test_a_flattened_clone_has_no_parent_although_its_snapshots_still_read_through_it() -> None:
    assert decode_header(header(parent=parent(overlap=b"\0"))).parent is None


@pytest.mark.parametrize("values", [
    {},  # the image is gone
    {"size": number(1)},
    header(features=number(FEATURES | 512)),  # it is being migrated
    header(features=number(1 << 12)),  # of a newer Ceph
    header(parent=parent(version=1)),  # of Mimic
    header(parent=parent(version=3)),
    header(parent=parent(overlap=b"\x01" + number(0))),
    header(parent=parent()[:-1]),
    header(snapshot_1=snapshot("old", version=8, oldest=9)),
    header(snapshot_1=snapshot("old", version=6, oldest=1)),
    header(snapshot_1=snapshot("new", namespace=4)),
    header(snapshot_1=snapshot("new", namespace=3, of=bytes([9, 1]))),
    header(metadata_x=b"\xff"),
    header(size=b"\0"),
], ids=str)
def test_what_is_not_known_is_not_read(values: dict[str, bytes]) -> None:
    with pytest.raises(UnknownFormatError):
        decode_header(values)


def test_fields_that_a_newer_ceph_appended_are_passed_over() -> None:
    body = struct.pack("<q", 2) + text("") + text("abc") + number(9) + b"\x01" + number(4096) + b"new field"
    assert decode_header(header(parent=framed(body, 3, 2))).parent == Parent(2, "", "abc")


@given(st.dictionaries(
    st.sampled_from(["size", "features", "parent", "snapshot_1", "metadata_a"]), st.binary(max_size=80), max_size=5,
))
def test_noise_is_refused_or_read_never_another_error(values: dict[str, bytes]) -> None:
    with suppress(UnknownFormatError):
        decode_header(values)


@given(st.binary(max_size=40))
def test_a_decoder_reads_no_byte_that_is_not_there(data: bytes) -> None:
    for read in (Decoder.u8, Decoder.u32, Decoder.u64, Decoder.i64, Decoder.text):
        fields = Decoder(data)
        with pytest.raises(UnknownFormatError):
            while True:
                read(fields)
