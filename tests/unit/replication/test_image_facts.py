"""What an image's records are worth to a site: with its key, without one, with one that cannot be used."""
from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from samples import HERE, MetadataImage, envelope, image_record, vm_record
from test_signature import GENERATION, KEY, is_own

from onedr.ceph import mirroring
from onedr.model.errors import SchemaError
from onedr.model.records import Proof
from onedr.model.types import Settings
from onedr.replication import image_facts, records, write_records


class Pool:
    """One image; the rest of librbd's answers are those of a primary without a mirror mode."""

    def __init__(self, image: MetadataImage):
        self.opened = image

    def image(self, _: str, read_only: bool = False) -> Pool:
        return self

    def __enter__(self) -> MetadataImage:
        return self.opened

    def __exit__(self, *_: object) -> None:
        return None

    def fsid(self) -> str:
        return HERE


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A primary image's answers, and a front-end without a key."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(mirroring, "mirror_mode", lambda _: None)
    monkeypatch.setattr(mirroring, "is_primary", lambda _: True)
    monkeypatch.setattr(mirroring, "publish_changes", lambda *_: None)
    monkeypatch.setattr("onedr.replication.mirror_image.parent_of", lambda _: None)
    monkeypatch.setattr(MetadataImage, "id", lambda _: "1", raising=False)
    monkeypatch.setattr(MetadataImage, "size", lambda _: 5, raising=False)
    return tmp_path / "etc" / "onedr" / "record.key"


def give_key(path: Path, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(base64.b64encode(KEY))
    path.chmod(mode)


def seen(image: MetadataImage) -> Any:
    return image_facts.image_facts(Pool(image), "one-7", Settings())  # type: ignore[arg-type]


def test_with_the_key_each_record_is_proven(site: Path) -> None:
    give_key(site)
    assert seen(is_own()).vm.proof is Proof.AUTHENTIC and seen(is_own()).vm.doubt == ""
    assert seen(is_own(key=None)).vm.proof is Proof.UNSIGNED
    assert seen(MetadataImage("g-8", values=is_own().values)).vm.proof is Proof.FORGED


def test_without_a_key_records_are_believed_but_not_those_of_the_future() -> None:
    assert seen(is_own(key=None)).vm.proof is Proof.UNCHECKED and seen(is_own(key=None)).vm.doubt == ""
    ahead = is_own(envelope(vm_record(), generation=10**18), key=None)
    assert "ahead of this site's clock" in seen(ahead).vm.doubt


def test_with_a_key_that_others_may_read_no_record_is_believed_and_nothing_fails(site: Path) -> None:
    give_key(site, 0o644)
    assert "chmod 600" in seen(is_own()).vm.doubt


def test_a_record_that_cannot_be_read_is_the_images_problem_and_said_of_its_vm(site: Path) -> None:
    give_key(site)
    image = is_own()
    image.values[records.VM_KEY] = "{"
    found = seen(image)
    assert found.vm is None and "onedr.vm is damaged" in found.bad_vm and found.problems == (found.bad_vm,)
    own = is_own(envelope(image_record(), generation=GENERATION))
    own.values[records.IMAGE_KEY] = "{"
    assert seen(own).bad_vm == "" and "onedr.image is damaged" in seen(own).problems[0]


@pytest.mark.parametrize(("values", "removed"), [
    (is_own(envelope(vm_record(), fsid=HERE)).values, True),
    (is_own(envelope(vm_record(), fsid=HERE, generation=10**18), key=None).values, True),
    (is_own().values, False),  # the peer's
    ({records.VM_KEY: "{"}, True), ({}, False),
])
def test_an_image_that_no_vm_uses_loses_its_vms_record_also_a_damaged_one(
    values: dict[str, str], removed: bool
) -> None:
    image = MetadataImage(values=values)
    assert write_records.remove_vm_record(Pool(image), "one-7") is removed  # type: ignore[arg-type]
    assert (image.values == values) is not removed or not values


def test_the_record_of_a_newer_release_is_not_removed() -> None:
    image = MetadataImage(values={records.VM_KEY: '{"schema": 2}'})
    with pytest.raises(SchemaError):
        write_records.remove_vm_record(Pool(image), "one-7")  # type: ignore[arg-type]
