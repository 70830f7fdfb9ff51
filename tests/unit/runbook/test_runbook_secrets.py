"""Which secrets a book names: where they belong, from what the record key opens, and never a value."""
from __future__ import annotations

import base64
from pathlib import Path

import pytest
from samples import RECORD_KEY as KEY
from samples import THERE, envelope, put_record_key, vm_record

from onedr.model.template import Pairs
from onedr.replication.inventory import VmItem
from onedr.replication.secrets import WITHHELD
from onedr.replication.write_records import encrypt_secrets
from onedr.runbook.collect import secrets_of

ORIGIN = f"{THERE}:42"
PLAIN: Pairs = (
    ("CPU", "1"), ("CONTEXT", (("NETWORK", "YES"), ("PASSWORD", "correct horse"))), ("API_TOKEN", "battery staple"),
)


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return put_record_key(tmp_path, monkeypatch)


def item(template: Pairs, user: Pairs = ()) -> VmItem:
    body = vm_record(template=template, user_template=user)
    return VmItem(ORIGIN, envelope(body), body, (), (), ())


def test_they_are_named_by_their_place(key_file: Path) -> None:
    sealed = encrypt_secrets(PLAIN, KEY, ORIGIN, "template")
    user = encrypt_secrets((("DB_PASSWORD", "x"),), KEY, ORIGIN, "user_template")
    named, unopened = secrets_of([item(sealed, user)])
    assert set(named[ORIGIN]) == {"CONTEXT/PASSWORD", "API_TOKEN", "DB_PASSWORD"} and not unopened
    assert "horse" not in str(named) and "staple" not in str(named)


@pytest.mark.parametrize("damage", ["missing", "another"])
def test_without_the_key_it_is_said_that_there_are_some(key_file: Path, damage: str) -> None:
    sealed = encrypt_secrets(PLAIN, KEY, ORIGIN, "template")
    if damage == "missing":
        key_file.unlink()
    else:
        key_file.write_bytes(base64.b64encode(KEY[::-1]))
    named, unopened = secrets_of([item(sealed)])
    assert not named and "record" in unopened[ORIGIN] and str(key_file) in unopened[ORIGIN]


def test_what_the_peer_did_not_record_is_said(key_file: Path) -> None:
    named, unopened = secrets_of([item((("CPU", "1"), (WITHHELD, "CONTEXT/PASSWORD")))])
    assert not named and "CONTEXT/PASSWORD" in unopened[ORIGIN]


def test_a_vm_without_secrets_is_not_named(key_file: Path) -> None:
    assert secrets_of([item((("CPU", "1"),))]) == ({}, {})
