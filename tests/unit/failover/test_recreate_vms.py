"""Secrets of a record put back where they were: those of this VM, sealed by this release or one before."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree
from samples import RECORD_KEY as KEY
from samples import THERE, envelope, put_record_key, vm_record

from onedr.failover import recreate_vms
from onedr.model.errors import RecordError
from onedr.model.records import Proof, VmRecord
from onedr.model.template import Pairs
from onedr.replication import ledger
from onedr.replication.inventory import VmItem
from onedr.replication.write_records import encrypt_secrets

ORIGIN = f"{THERE}:42"
PLAIN: Pairs = (("SHOWN", "yes"), ("ADMIN_PASSWORD", "correct horse"))


@pytest.fixture(autouse=True)
def key_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_record_key(tmp_path, monkeypatch)


def opened(sealed: Pairs, proof: Proof) -> VmRecord:
    body = vm_record(user_template=sealed)
    site: Any = SimpleNamespace(warn=lambda *_: pytest.fail("nothing is left out"))
    return recreate_vms.with_secrets(site, VmItem(ORIGIN, envelope(body, proof=proof), body, (), (), ()))


@pytest.mark.parametrize("proof", [Proof.AUTHENTIC, Proof.UNSIGNED])
def test_secrets_bound_to_the_vm_open(proof: Proof) -> None:
    sealed = encrypt_secrets(PLAIN, KEY, ORIGIN, "user_template")
    assert "horse" not in str(sealed)
    assert sorted(opened(sealed, proof).user_template) == sorted(PLAIN)


def test_secrets_that_an_earlier_release_bound_to_no_vm_open_in_a_record_of_that_release() -> None:
    assert sorted(opened(encrypt_secrets(PLAIN, KEY), Proof.UNSIGNED).user_template) == sorted(PLAIN)


@pytest.mark.parametrize("bound", [(f"{THERE}:7", "user_template"), (ORIGIN, "template")])
@pytest.mark.parametrize("proof", [Proof.AUTHENTIC, Proof.UNSIGNED])
def test_secrets_of_another_vm_or_attribute_do_not_open(bound: tuple[str, str], proof: Proof) -> None:
    with pytest.raises(RecordError, match="cannot be decrypted"):
        opened(encrypt_secrets(PLAIN, KEY, *bound), proof)


def test_a_signed_record_holds_no_seal_that_is_bound_to_no_vm() -> None:
    with pytest.raises(RecordError, match="cannot be decrypted"):
        opened(encrypt_secrets(PLAIN, KEY), Proof.AUTHENTIC)


@pytest.mark.parametrize("forged", ["ONEDR_SEALED", "ONEDR_WITHHELD"])
def test_what_a_user_calls_like_the_records_own_attributes_keeps_no_secret_from_his_vm(forged: str) -> None:
    own: Pairs = (*PLAIN, ("LOGIN", (("USER", "u"), ("PASSWORD", "p"))))
    sealed = encrypt_secrets(((forged, "garbage"), *own), KEY, ORIGIN, "user_template")
    assert sorted(opened(sealed, Proof.AUTHENTIC).user_template, key=str) == sorted(own, key=str)
    assert encrypt_secrets(((forged, "garbage"), ("SHOWN", "yes")), KEY, ORIGIN, "user_template") == (
        ("SHOWN", "yes"),)


class Started:
    """A front-end whose VM runs at once. Locked, it takes no attribute."""

    def __init__(self, user: str) -> None:
        self.user, self.calls = user, [("", 0)][:0]

    def vm(self, _: int) -> etree._Element:
        lock = f"<LOCK><LOCKED>{self.calls[-1][1]}</LOCKED></LOCK>" if self.calls else ""
        return etree.fromstring(
            f"<VM><ID>7</ID><STATE>3</STATE><LCM_STATE>3</LCM_STATE>{lock}<TEMPLATE/>"
            f"<USER_TEMPLATE>{self.user}</USER_TEMPLATE></VM>")

    def update_vm(self, _: int, pairs: Pairs) -> None:
        assert not self.calls, "a locked VM takes no attributes"
        self.user = "" if ("DR_USER_LOCK", "") in pairs else self.user

    def call(self, method: str, _: int, *words: Any) -> None:
        assert method == "vm.lock"
        self.calls.append((method, words[0]))


@pytest.mark.parametrize(("user", "locks"), [
    ("", []), ("<DR_USER_LOCK>2</DR_USER_LOCK>", [("vm.lock", 2)]), ("<DR_USER_LOCK>x</DR_USER_LOCK>", []),
])
def test_a_vm_that_its_user_locked_is_locked_once_it_runs(
    user: str, locks: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "change", lambda *_, **__: None)
    there = Started(user)
    site: Any = SimpleNamespace(frontend=there, pool=None)
    done = recreate_vms.start_vm(site, 7, 5)
    assert there.calls == locks and ("locked as before" in done) is bool(locks)
