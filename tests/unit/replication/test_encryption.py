"""Secrets in records: only a site with the same key opens them, and only a private key file is a key."""
from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import PAIRS

from onedr.model.errors import RecordError
from onedr.model.template import Pairs
from onedr.replication import encryption

KEY, OTHER = bytes(range(64)), bytes(range(1, 65))
SECRETS: Pairs = (("1/PASSWORD", "correct horse"), ("PW", "é <&>"))


def key_file(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    path = folder / "record.key"
    path.write_bytes(text)
    path.chmod(mode)
    return path


@given(PAIRS)
def test_what_is_sealed_opens_again(secrets: Pairs) -> None:
    assert encryption.decrypt(KEY, encryption.encrypt(KEY, secrets)) == secrets


def test_the_same_secrets_give_the_same_text_so_that_a_record_stays_unchanged() -> None:
    assert encryption.encrypt(KEY, SECRETS) == encryption.encrypt(KEY, SECRETS)
    assert encryption.encrypt(KEY, SECRETS) != encryption.encrypt(KEY, (*SECRETS, ("A", "")))
    assert encryption.encrypt(KEY, SECRETS) != encryption.encrypt(OTHER, SECRETS)


@pytest.mark.parametrize("other", [("f:7", "template"), ("f:8", "user_template"), ("f:7",), (), ("f", "7", "user_template")])
def test_a_seal_opens_for_the_vm_and_attribute_it_was_made_for_only(other: tuple[str, ...]) -> None:
    sealed = encryption.encrypt(KEY, SECRETS, "f:7", "user_template")
    assert encryption.decrypt(KEY, sealed, "f:7", "user_template") == SECRETS
    with pytest.raises(RecordError):
        encryption.decrypt(KEY, sealed, *other)


def test_the_sealed_text_shows_nothing_of_the_secret() -> None:
    raw = base64.b64decode(encryption.encrypt(KEY, SECRETS))
    assert b"horse" not in raw and b"PASSWORD" not in raw


def test_another_key_does_not_open_it_and_the_error_says_what_to_do() -> None:
    with pytest.raises(RecordError, match=r"copy the peer's record\.key"):
        encryption.decrypt(OTHER, encryption.encrypt(KEY, SECRETS))


@given(st.data())
def test_a_changed_byte_is_noticed(data: st.DataObject) -> None:
    raw = bytearray(base64.b64decode(encryption.encrypt(KEY, SECRETS)))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RecordError):
        encryption.decrypt(KEY, base64.b64encode(bytes(raw)).decode())


@pytest.mark.parametrize("text", ["", "AAAA", "%%%", "é", "A", base64.b64encode(b"x" * 16).decode()])
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        encryption.decrypt(KEY, text)


@pytest.mark.parametrize("text", [
    base64.b64encode(KEY), base64.b64encode(KEY) + b"\n", base64.encodebytes(KEY),  # as `base64` wraps it
])
def test_a_key_file_is_read_wrapped_or_not(tmp_path: Path, text: bytes) -> None:
    assert encryption.load_key(key_file(tmp_path, text)) == KEY


def test_no_key_file_is_no_key(tmp_path: Path) -> None:
    assert encryption.load_key(tmp_path / "record.key") is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(RecordError, match="chmod 600"):
        encryption.load_key(key_file(tmp_path, base64.b64encode(KEY), mode))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_is_taken(tmp_path: Path, mode: int) -> None:
    assert encryption.load_key(key_file(tmp_path, base64.b64encode(KEY), mode)) == KEY


@pytest.mark.parametrize(("text", "why"), [
    (b"", "0 bytes"), (base64.b64encode(KEY[:32]), "32 bytes"), (base64.b64encode(KEY + b"x"), "65 bytes"),
    (b"not base64!", "not base64"), (KEY, "not base64"),
])
def test_a_bad_key_says_what_is_wrong(tmp_path: Path, text: bytes, why: str) -> None:
    with pytest.raises(RecordError, match=why):
        encryption.load_key(key_file(tmp_path, text))


def test_a_key_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "record.key").mkdir(mode=0o700)
    with pytest.raises(RecordError, match="cannot be read"):
        encryption.load_key(tmp_path / "record.key")
