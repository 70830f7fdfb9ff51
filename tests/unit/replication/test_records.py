"""Records on images: what was written is what is read, within Ceph's limits, and damage is never taken for
truth.
"""
from __future__ import annotations

import base64
import hashlib
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, PAIRS, XML_TEXT, disk, envelope, image_record, vm_record

from onedr.model.errors import RecordError, SchemaError
from onedr.model.records import Envelope, Mark
from onedr.replication import records, signature
from onedr.replication.signature import Signer

HARD_LIMIT = 64 * 1024  # of one metadata value (docs/ceph-facts.md C10)
FSID = st.from_regex(r"[0-9a-f-]{1,36}", fullmatch=True)


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    number = st.integers(min_value=0, max_value=2**31 - 1)
    text = XML_TEXT
    common = {"name": draw(text), "owner": draw(text), "group": draw(text), "template": draw(PAIRS)}
    if draw(st.booleans()):
        body: Any = image_record(
            **common, image_id=draw(number), persistent=draw(st.booleans()), snapshots=draw(PAIRS)
        )
    else:
        count = draw(st.integers(0, 3))
        disks = tuple(
            disk(n, draw(st.none() | text), image_id=draw(st.none() | number)) for n in range(count)
        )
        body = vm_record(
            **common, vm_id=draw(number), user_template=draw(PAIRS), disks=disks, snapshots=draw(PAIRS)
        )
    return envelope(
        body, site=draw(text), fsid=draw(FSID), mon_host=draw(text),
        generation=draw(st.integers(min_value=0, max_value=2**53)),
        written_at=draw(st.floats(min_value=0, max_value=1e11)),
    )


def key_of(written: Envelope) -> str:
    return records.IMAGE_KEY if hasattr(written.body, "image_id") else records.VM_KEY


def laid_out(written: Envelope) -> dict[str, str]:
    """Metadata as it lies on an image."""
    key = key_of(written)
    values = records.encode(written)
    return {key: values[0], **{f"{key}.part{part}": value for part, value in enumerate(values) if part}}


def incompressible(size: int, seed: int = 7) -> Envelope:
    noise = base64.b64encode(random.Random(seed).randbytes(size)).decode()
    return envelope(vm_record(user_template=(("NOISE", noise),)))


@given(envelopes())
def test_what_is_written_is_what_is_read(written: Envelope) -> None:
    assert records.decode(key_of(written), laid_out(written)) == written


def test_the_order_of_attributes_disks_and_vectors_survives() -> None:
    body = vm_record(
        template=(("B", "2"), ("A", "1"), ("B", (("Z", "1"), ("Y", "2")))),
        disks=(disk(1, "one/one-2"), disk(0, "one/one-1")),
    )
    found = records.decode(records.VM_KEY, laid_out(envelope(body)))
    assert found is not None and found.body == body


def test_an_image_without_a_record_has_none() -> None:
    assert records.decode(records.VM_KEY, {"onedr.image": "x", "other": "y"}) is None


@pytest.mark.parametrize("size", [10, 40_000, 46_000, 60_000, 100_000, 400_000])
def test_a_long_record_is_split_and_no_value_is_too_large(size: int) -> None:
    written = incompressible(size)
    values = records.encode(written)
    assert all(len(value.encode()) <= records.VALUE_LIMIT < HARD_LIMIT for value in values)
    assert len(values) == json.loads(values[0])["parts"]
    assert (len(values) > 1) == (size > 45_000)
    assert records.decode(records.VM_KEY, laid_out(written)) == written


def test_long_site_names_and_many_monitors_do_not_push_a_value_over_the_limit() -> None:
    monitors = ",".join(f"[v2:[fd00::{n:x}]:3300/0,v1:[fd00::{n:x}]:6789/0]" for n in range(40))
    written = envelope(incompressible(60_000).body, site="Süd" * 300, mon_host=monitors)
    assert max(len(value.encode()) for value in records.encode(written)) <= records.VALUE_LIMIT
    assert records.decode(records.VM_KEY, laid_out(written)) == written


def test_a_head_that_would_fill_the_value_by_itself_is_refused() -> None:
    with pytest.raises(RecordError, match="DR_SITE"):
        records.encode(envelope(vm_record(), site="x" * records.VALUE_LIMIT))


def test_a_record_that_could_not_be_read_back_is_not_written() -> None:
    with pytest.raises(RecordError, match="larger"):
        records.encode(envelope(vm_record(user_template=(("A", "x" * records.BODY_LIMIT),))))


def test_the_value_is_ascii_whatever_the_names_are() -> None:
    assert all(
        value.isascii() for value in laid_out(envelope(vm_record(name="wéb – 網"), site="Süd")).values()
    )


def test_every_missing_part_is_damage() -> None:
    values = laid_out(incompressible(200_000))
    for gone in set(values) - {records.VM_KEY}:
        with pytest.raises(RecordError, match="damaged"):
            records.decode(records.VM_KEY, {key: value for key, value in values.items() if key != gone})


def test_parts_of_two_writings_are_never_read_as_one_record() -> None:
    new, old = laid_out(incompressible(200_000)), laid_out(incompressible(200_000, seed=8))
    with pytest.raises(RecordError, match="damaged"):
        records.decode(records.VM_KEY, {**new, f"{records.VM_KEY}.part1": old[f"{records.VM_KEY}.part1"]})


def with_head(**changes: Any) -> dict[str, str]:
    head = json.loads(records.encode(envelope(vm_record()))[0])
    head.update(changes)
    return {records.VM_KEY: json.dumps({key: value for key, value in head.items() if value is not ...})}


def packed(body: object) -> str:
    return base64.b64encode(zlib.compress(json.dumps(body).encode())).decode()


@pytest.mark.parametrize(
    "values",
    [
        with_head(sha256="0" * 64),
        with_head(sha256=...),
        with_head(body=...),
        with_head(parts=...),
        with_head(parts="2"),
        with_head(parts=2),
        with_head(parts=10**12),
        with_head(body="%%%"),
        with_head(body=None),
        with_head(body=packed({"vm_id": 1})),
        with_head(generation=None),
        with_head(generation=float("inf")),
        with_head(written_at="soon"),
        with_head(site=...),
        with_head(fsid=...),
        with_head(schema=...),
        {records.VM_KEY: ""},
        {records.VM_KEY: "null"},
        {records.VM_KEY: "[]"},
        {records.VM_KEY: '"text"'},
        {records.VM_KEY: "[" * 100_000},
        {records.VM_KEY: "{"},
    ],
)
def test_a_damaged_record_is_said_to_be_damaged(values: dict[str, str]) -> None:
    with pytest.raises(RecordError, match="damaged"):
        records.decode(records.VM_KEY, values)


@pytest.mark.parametrize(
    "body", [[], {}, "text", None, 1, {"disks": []}, {"disks": [{"x": 1}]}, {"template": 5}]
)
def test_a_sound_checksum_over_a_body_of_another_shape_is_damage(body: object) -> None:
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    for key in (records.VM_KEY, records.IMAGE_KEY):
        values = {key: with_head(body=packed(body), sha256=digest)[records.VM_KEY]}
        with pytest.raises(RecordError, match="damaged"):
            records.decode(key, values)


@given(st.data())
def test_a_changed_character_of_the_body_is_never_believed(data: st.DataObject) -> None:
    written = envelope(vm_record())
    head = json.loads(records.encode(written)[0])
    at = data.draw(st.integers(0, len(head["body"]) - 1))
    other = data.draw(st.sampled_from("ABCxyz019+/"))
    body = head["body"][:at] + other + head["body"][at + 1:]
    try:
        found = records.decode(records.VM_KEY, with_head(body=body))
    except RecordError:
        return
    assert found == written


def test_a_newer_schema_is_refused_and_named() -> None:
    with pytest.raises(SchemaError, match="schema 2.*upgrade"):
        records.decode(records.VM_KEY, with_head(schema=2))


@pytest.mark.parametrize("schema", [0, -1, "1", None, [], {}, True, 1.0, 1.5])
def test_a_schema_that_no_release_writes_is_damage_which_may_be_replaced(schema: object) -> None:
    with pytest.raises(RecordError, match="damaged") as caught:
        records.decode(records.VM_KEY, with_head(schema=schema))
    assert not isinstance(caught.value, SchemaError)


def test_only_a_signature_makes_a_newer_schema_stay_where_there_is_a_key() -> None:
    signer = Signer(b"k" * 32, "global/one-7")
    head = {**json.loads(records.encode(envelope(vm_record()))[0]), "schema": 2}
    with pytest.raises(RecordError, match="damaged") as caught:
        records.decode(records.VM_KEY, {records.VM_KEY: json.dumps(head)}, signer)
    assert not isinstance(caught.value, SchemaError)
    head["mac"] = signature.sign(signer, records.VM_KEY, head)
    with pytest.raises(SchemaError):
        records.decode(records.VM_KEY, {records.VM_KEY: json.dumps(head)}, signer)


def test_a_zlib_bomb_ends_at_the_limit() -> None:
    bomb = base64.b64encode(zlib.compress(b"\0" * (records.BODY_LIMIT + 1), 9)).decode()
    assert len(bomb) < HARD_LIMIT
    with pytest.raises(RecordError, match=f"larger than {records.BODY_LIMIT}"):
        records.decode(records.VM_KEY, with_head(body=bomb))


def test_a_stream_that_is_cut_short_is_refused() -> None:
    cut = base64.b64encode(zlib.compress(b"x" * 1000)[:-6]).decode()
    for body in (cut, ""):
        with pytest.raises(RecordError, match="incomplete"):
            records.decode(records.VM_KEY, with_head(body=body))


class Image:
    """Metadata of an RBD image, with a log of what was done to it."""

    def __init__(self, values: dict[str, str] | None = None, lies: bool = False):
        self.values, self.lies = dict(values or {}), lies
        self.log: list[Any] = []

    def metadata_list(self) -> list[tuple[str, str]]:
        return list(self.values.items())

    def metadata_set(self, key: str, value: str) -> None:
        self.log.append(key)
        if not self.lies:
            self.values[key] = value

    def metadata_remove(self, key: str) -> None:
        self.log.append(f"-{key}")
        del self.values[key]

    def get_name(self) -> str:
        return "one-7"


def test_the_head_is_written_after_its_parts_and_stale_parts_go() -> None:
    image = Image({**laid_out(incompressible(400_000)), "conf_x": "theirs"})
    short = envelope(incompressible(60_000).body, generation=6)
    assert records.write_record(image, records.VM_KEY, short)
    written = [key for key in image.log if not key.startswith("-")]
    assert written == ["onedr.vm.part1", "onedr.vm"]
    assert set(image.values) == {"onedr.vm", "onedr.vm.part1", "conf_x"}
    assert records.decode(records.VM_KEY, image.values) == short


@pytest.mark.parametrize(
    ("changes", "name", "kept"),
    [
        ({"generation": 9, "written_at": 9.0}, "web", True),  # the same body
        ({"generation": 4}, "renamed", True),  # an older event that came late
        ({"generation": 6}, "renamed", False),
        ({"generation": 6, "mon_host": "[v2:10.9.9.9:3300/0]"}, "web", False),  # the site's monitors moved
        ({"generation": 1, "fsid": HERE}, "web", False),  # another site took over
    ],
)
def test_a_record_is_written_only_when_it_says_something_newer(
    changes: dict[str, Any], name: str, kept: bool
) -> None:
    image = Image(laid_out(envelope(vm_record())))
    before = dict(image.values)
    assert records.write_record(image, records.VM_KEY, envelope(vm_record(name=name), **changes)) is not kept
    assert (image.values == before) is kept
    assert bool(image.log) is not kept


def test_a_damaged_record_is_replaced() -> None:
    image = Image({records.VM_KEY: "garbage"})
    assert records.write_record(image, records.VM_KEY, envelope(vm_record()))
    assert records.decode(records.VM_KEY, image.values) == envelope(vm_record())


def test_a_write_that_does_not_read_back_is_an_error() -> None:
    image = Image(laid_out(envelope(vm_record())), lies=True)
    with pytest.raises(RecordError, match="one-7.*reads back different"):
        records.write_record(image, records.VM_KEY, envelope(vm_record(name="new"), generation=6))


def test_removing_a_record_takes_its_parts_and_nothing_else() -> None:
    own = laid_out(envelope(image_record()))
    image = Image({**laid_out(incompressible(200_000)), **own, "onedr.vmx": "y"})
    assert records.remove_records(image, records.VM_KEY)
    assert image.values == {**own, "onedr.vmx": "y"}
    assert not records.remove_records(image, records.VM_KEY)


def test_only_our_metadata_is_seen() -> None:
    assert records.metadata(Image({"onedr.vm": "1", "conf_rbd_cache": "2"})) == {"onedr.vm": "1"}


@given(st.floats(min_value=0, max_value=4e9), st.booleans())
def test_a_time_mark_survives_to_the_millisecond(at: float, replaying: bool) -> None:
    image = Image()
    records.write_mark(image, Mark(at, replaying))
    found = records.read_mark(records.metadata(image))
    assert found is not None and found.replaying is replaying
    assert abs(found.at - at) < 0.001


@pytest.mark.parametrize(
    "text", ["", "5", "[]", "{}", '{"at": "x", "replaying": true}', '{"at": 5}', "[" * 100_000]
)
def test_a_damaged_time_mark_is_refused(text: str) -> None:
    with pytest.raises(RecordError, match="time mark"):
        records.read_mark({records.MARK_KEY: text})


def test_no_time_mark_is_none() -> None:
    assert records.read_mark({}) is None
