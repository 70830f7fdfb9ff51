"""A record counts where a holder of the record key wrote it, for the image it lies on (docs/records.md)."""
from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import HERE, MetadataImage, envelope, image_record, vm_record

from onedr.model.errors import RecordError
from onedr.model.records import Envelope, Proof
from onedr.replication import records, signature

KEY, OTHER_KEY = bytes(range(64)), bytes(range(1, 65))
GENERATION = 1_700_000_000 * 10**6
NOW = GENERATION / 1e6 + 5
WRITTEN = envelope(vm_record(), generation=GENERATION)


def is_own(written: Envelope = WRITTEN, key: bytes | None = KEY, **image: Any) -> MetadataImage:
    found = MetadataImage(**image)
    kind = records.IMAGE_KEY if hasattr(written.body, "image_id") else records.VM_KEY
    records.write_record(found, kind, written, signature.signer(key, found))
    return found


def read(image: MetadataImage, key: bytes | None = KEY, kind: str = records.VM_KEY, now: float | None = NOW) -> Envelope:
    found = records.decode(kind, image.values, signature.signer(key, image), now)
    assert found is not None
    return found


def head_of(image: MetadataImage) -> dict[str, Any]:
    return dict(json.loads(image.values[records.VM_KEY]))


def test_what_a_holder_of_the_key_wrote_is_authentic_at_both_sites() -> None:
    here = is_own()
    there = MetadataImage(values=here.values)  # the copy has the same mirroring id and name
    assert read(there).proof is Proof.AUTHENTIC and read(there).doubt == "" and read(there) == WRITTEN


def test_without_a_key_here_a_record_is_read_as_before_unchecked() -> None:
    for image in (is_own(), is_own(key=None)):
        assert read(image, key=None).proof is Proof.UNCHECKED and read(image, key=None).doubt == ""


def test_a_record_without_a_signature_is_in_doubt_and_the_reason_says_what_to_do() -> None:
    found = read(is_own(key=None))
    assert found.proof is Proof.UNSIGNED and "not signed" in found.doubt and "onedr reconcile" in found.doubt


@pytest.mark.parametrize("elsewhere", [{"global_id": "g-8"}, {"name": "one-8"}, {"global_id": ""}])
def test_a_record_copied_to_another_image_is_forged(elsewhere: dict[str, str]) -> None:
    found = read(MetadataImage(**elsewhere, values=is_own().values))
    assert found.proof is Proof.FORGED and "copied from another image" in found.doubt


def test_a_record_of_another_key_is_forged() -> None:
    assert read(is_own(key=OTHER_KEY)).proof is Proof.FORGED


@pytest.mark.parametrize("field, value", [
    ("fsid", HERE), ("generation", GENERATION + 1), ("site", "south"), ("mon_host", "192.0.2.9"),
    ("written_at", 1.0), ("mac", "0" * 64), ("mac", 5), ("mac", []), ("mac", "é"), ("added", 1),
])
def test_no_field_of_the_head_can_be_changed(field: str, value: Any) -> None:
    image = is_own()
    image.values[records.VM_KEY] = json.dumps({**head_of(image), field: value})
    assert read(image).proof is Proof.FORGED


def test_another_body_with_its_right_checksum_under_the_old_signature_is_forged() -> None:
    image, other = is_own(), is_own(replace(WRITTEN, body=vm_record(name="evil")), key=None)
    image.values[records.VM_KEY] = json.dumps({**head_of(other), "mac": head_of(image)["mac"]})
    found = read(image)
    assert found.body.name == "evil" and found.proof is Proof.FORGED


def test_a_record_of_one_kind_is_none_of_the_other() -> None:
    image = is_own(envelope(image_record(), generation=GENERATION))
    head = json.loads(image.values[records.IMAGE_KEY])
    assert signature.proof(signature.signer(KEY, image), records.IMAGE_KEY, head) is Proof.AUTHENTIC
    assert signature.proof(signature.signer(KEY, image), records.VM_KEY, head) is Proof.FORGED


@given(st.binary(min_size=64, max_size=64))
def test_the_signing_key_is_not_the_sealing_key_nor_a_part_of_it(key: bytes) -> None:
    derived = signature.derived(key)
    assert len(derived) == 32 and derived not in key


def test_the_key_is_derived_as_rfc_5869_says() -> None:
    """Step by step as the RFC writes it, apart from the code."""
    prk = hmac.new(b"onedr", KEY, hashlib.sha256).digest()
    assert signature.derived(KEY) == hmac.new(prk, b"onedr record signature v1" + b"\x01", hashlib.sha256).digest()


@pytest.mark.parametrize("ahead_s, refused", [(-10**6, False), (0, False), (59, False), (61, True), (10**9, True)])
def test_a_generation_more_than_a_minute_ahead_is_in_doubt(ahead_s: int, refused: bool) -> None:
    generation = int((NOW + ahead_s) * 1e6)
    for key in (KEY, None):
        found = read(is_own(replace(WRITTEN, generation=generation), key=key), key=key)
        assert bool(found.doubt) is refused and ("ahead" in found.doubt) is refused


@pytest.mark.parametrize("key", [KEY, None])
def test_a_generation_ahead_of_everything_does_not_shut_out_the_true_record(key: bytes | None) -> None:
    for generation in (10**18, 2**63 - 1):
        image = is_own(replace(WRITTEN, body=vm_record(name="evil"), generation=generation), key=key)
        assert records.write_record(image, records.VM_KEY, WRITTEN, signature.signer(key, image))
        assert read(image, key) == WRITTEN and read(image, key).doubt == ""


def test_a_record_of_an_earlier_release_is_written_signed_though_its_body_is_the_same() -> None:
    image = is_own(key=None)
    newer = replace(WRITTEN, generation=GENERATION + 1)
    assert records.write_record(image, records.VM_KEY, newer, signature.signer(KEY, image))
    assert read(image).proof is Proof.AUTHENTIC and read(image).generation == GENERATION + 1
    assert not records.write_record(image, records.VM_KEY, newer, signature.signer(KEY, image))


def test_an_unsigned_record_that_claims_to_be_newer_is_replaced_and_a_signed_one_stays() -> None:
    later = replace(WRITTEN, body=vm_record(name="later"), generation=GENERATION + 1)
    unsigned, good = is_own(later, key=None), is_own(later)
    assert records.write_record(unsigned, records.VM_KEY, WRITTEN, signature.signer(KEY, unsigned))
    assert not records.write_record(good, records.VM_KEY, WRITTEN, signature.signer(KEY, good))
    assert read(unsigned) == WRITTEN and read(good) == later


def test_a_site_that_lost_its_key_keeps_what_it_signed_until_the_body_changes() -> None:
    image = is_own()
    assert not records.write_record(image, records.VM_KEY, replace(WRITTEN, generation=GENERATION + 1))
    assert read(image).proof is Proof.AUTHENTIC


def test_records_written_before_the_image_was_mirrored_are_signed_again_for_it() -> None:
    image = is_own(global_id="")
    assert read(image).proof is Proof.AUTHENTIC
    image.global_id = "g-7"  # mirroring was enabled
    assert read(image).proof is Proof.FORGED
    records.sign_for_mirroring(image, KEY)
    assert read(image).proof is Proof.AUTHENTIC and read(image) == WRITTEN


@pytest.mark.parametrize("image", [is_own(key=None), is_own(name="one-8"), is_own(key=OTHER_KEY, global_id="")])
def test_mirroring_signs_nothing_that_was_not_signed_for_this_image(image: MetadataImage) -> None:
    image.global_id, image.name = "g-7", "one-7"
    before = dict(image.values)
    records.sign_for_mirroring(image, KEY)
    assert image.values == before


def test_a_damaged_record_does_not_stop_the_mirroring() -> None:
    image = is_own(global_id="")
    image.values[records.IMAGE_KEY] = "{"
    image.global_id = "g-7"
    records.sign_for_mirroring(image, KEY)
    assert read(image).proof is Proof.AUTHENTIC
    with pytest.raises(RecordError):
        read(image, kind=records.IMAGE_KEY)


