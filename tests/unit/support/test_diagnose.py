"""The bundle for support: secrets of every kind are planted everywhere, and none is in it."""
from __future__ import annotations

import base64
import importlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from onedr.cli import main, run_action
from onedr.model.errors import StorageError
from onedr.model.template import parse_xml
from onedr.opennebula import datastores
from onedr.opennebula.api import FrontEnd
from onedr.runs.answer_events import StatusEvent
from onedr.runs.events import PeerShown
from onedr.support import bundle
from onedr.support.redact_rules import GONE, redact

SECRET = "S3cr3t-Wort"
PEM = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAAAB\n-----END OPENSSH PRIVATE KEY-----"
CEPH_KEY = "AQBhY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MTI="


@pytest.mark.parametrize("text", [
    f'PASSWORD="{SECRET}"', f"PASSWORD = {SECRET}", f"password: {SECRET}", f'{{"password": "{SECRET}"}}',
    f'["ROOT_PASS", "{SECRET}"]', f"<PASSWORD>{SECRET}</PASSWORD>", f"<PASSWORD><![CDATA[{SECRET}]]></PASSWORD>",
    f"<CONTEXT><A>1</A><API_KEY a='1'>{SECRET}</API_KEY></CONTEXT>", f"DB_TOKEN={SECRET}", f"mysql --password {SECRET}",
    f"curl --api-key={SECRET}", f"https://user:{SECRET}@host/x", f"Authorization: Bearer {SECRET}", f"psk='{SECRET}'",
    f'{{"user_template": "{{\\"WIFI_PSK\\": \\"{SECRET}\\"}}"}}', f"CEPH_SECRET: {SECRET}", f"user.password = {SECRET}", f"a = 1\n  password = two words {SECRET}\nb = 2",
    f'"CREDENTIALS": "{SECRET} and \\"more {SECRET}"', f"GRAPHICS=[PASSWD=\"{SECRET}\"]",
])
def test_what_has_the_name_of_a_secret_is_gone(text: str) -> None:
    told = redact(text)
    assert SECRET not in told and GONE in told, told


@pytest.mark.parametrize("secret", [
    PEM, CEPH_KEY, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "$6$salt$abcdefghijklmnop",
])
def test_what_has_the_form_of_a_secret_is_gone_wherever_it_stands(secret: str) -> None:
    for text in (f"see {secret} here", f'"note": "{secret}"', f"<NOTE>{secret}</NOTE>"):
        told = redact(text)
        assert secret not in told and secret.splitlines()[-1] not in told and GONE in told


def test_a_key_that_is_cut_off_is_gone_to_the_end() -> None:
    assert redact(PEM[:60] + "\nMORE") == GONE


@given(st.text(st.characters(codec="ascii", exclude_categories=("C", "Z")), min_size=4, max_size=40), st.text(max_size=30))
def test_a_known_secret_is_gone_in_plain_json_and_base64(secret: str, around: str) -> None:
    if secret in GONE or secret in around:
        return
    whole = f"{around} {secret} {json.dumps(secret)} {base64.b64encode(secret.encode()).decode()}"
    told = redact(whole, [secret])
    assert secret not in told.replace(GONE, "") and base64.b64encode(secret.encode()).decode() not in told


@pytest.mark.parametrize("text", [
    "one-7 is PROTECTED, RPO 4.2 s", '{"name": "db", "vm": 7}', "SSH_PUBLIC_KEY=ssh-rsa AAAA", "PASSIVE=yes",
    "by alice@fe1 (onedr)", "2026-11-30T10:00:00Z INFO 1-move ceph: promote one-1: is primary (0.5 s)",
    'PASSWORD=""', "/etc/one/onedr/record.key has mode 0600, 89 bytes",
])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text, ["xyzzy", "a"]) == text


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front-end with a secret of its own in each place that the bundle looks at."""
    one = tmp_path / "one"
    (one / "etc/onedr").mkdir(parents=True)
    (one / "var/.one").mkdir(parents=True)
    (one / "var/onedr").mkdir()
    monkeypatch.setenv("ONE_LOCATION", str(one))
    monkeypatch.delenv("ONE_AUTH", raising=False)
    key = base64.b64encode(b"k" * 64).decode()
    (one / "etc/onedr/record.key").write_text(key)
    (one / "etc/onedr/record.key").chmod(0o600)
    (one / "etc/peer").write_text("oneadmin:peer-passwort\n")
    (one / "etc/peer").chmod(0o600)
    for name, text in (("mail", "mailer:mail-passwort\n"), ("hook", "hook-schluessel\n")):
        (one / "etc" / name).write_text(text)
        (one / "etc" / name).chmod(0o600)
    (one / "etc/onedr/onedr.conf").write_text(
        f"[peer]\nendpoint = https://b/RPC2\nauth = {one}/etc/peer\n"
        f"[notify]\nsmtp_auth = {one}/etc/mail\nwebhook_key = {one}/etc/hook\n")
    (one / "etc/onedr/onedr.conf").chmod(0o644)
    (one / "var/.one/one_auth").write_text("oneadmin:own-passwort\n")
    log = f"INFO said peer-passwort, own-passwort, mail-passwort, hook-schluessel, {key}, {CEPH_KEY}\n{PEM}\nERROR ROOT_PASSWORD='{SECRET}' failed\n"
    (one / "var/onedr/onedr.log").write_text(log)
    return one


def answer(datastore: str, request: Any) -> Any:
    if request.verb == "kept":
        raise StorageError(f"Ceph refused key {CEPH_KEY}.")
    yield StatusEvent(
        "gold", "PROTECTED", "SAFE", "primary", f"vm DB_PASSWORD={SECRET}", 1, 1, "JOURNAL", PeerShown("own-passwort"),
    )


DATASTORE = (
    f"<P><DATASTORE><ID>7</ID><NAME>gold</NAME><DS_MAD>ceph_dr</DS_MAD><TYPE>0</TYPE><TEMPLATE>"
    f"<CEPH_SECRET>{SECRET}</CEPH_SECRET><NOTE>peer-passwort</NOTE><POOL_NAME>one</POOL_NAME></TEMPLATE></DATASTORE></P>"
)
OWN = ("peer-passwort", "own-passwort", "mail-passwort", "hook-schluessel")
PLANTED = (SECRET, *OWN, CEPH_KEY, "b3BlbnNzaC1r", "a2tra2tr", ("k" * 64).encode().hex())


def test_no_planted_secret_is_in_the_bundle_and_what_helps_is(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(FrontEnd, "release", lambda _: "7.4.0")
    monkeypatch.setattr(datastores, "elements", lambda _: list(parse_xml(DATASTORE)))
    monkeypatch.setattr(run_action, "events", answer)
    target = tmp_path / "out.tar.gz"
    done = CliRunner().invoke(main, ["diagnose", "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as archive:
        files = {each.name: archive.extractfile(each).read().decode() for each in archive}  # type: ignore[union-attr]
    assert {"out/versions.txt", "out/onedr.conf", "out/onedr.log", "out/front-end.txt", "out/datastore-7/datastore.xml",
            "out/datastore-7/status.json", "out/datastore-7/history.json", "out/datastore-7/kept.json"} <= set(files)
    for name, text in files.items():
        for secret in PLANTED:
            assert secret not in text, f"{secret} in {name}: {text}"
    assert "PROTECTED" in files["out/datastore-7/status.json"] and "<POOL_NAME>one<" in files["out/datastore-7/datastore.xml"]
    assert "endpoint = https://b/RPC2" in files["out/onedr.conf"] and "mode 0600" in files["out/record.key.txt"]
    assert "Ceph refused key" in files["out/datastore-7/kept.json"] and "OpenNebula 7.4.0" in files["out/front-end.txt"]


def test_the_plants_would_be_found(site: Path) -> None:
    """So the test above can fail."""
    text = "".join(bundle.own_files().values())
    for secret in (SECRET, *OWN, CEPH_KEY):
        assert secret in text


def test_an_existing_file_is_not_written_over_nor_a_link_followed(site: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    os.symlink(precious, tmp_path / "link.tar.gz")
    for name in ("precious", "link.tar.gz"):
        done = CliRunner().invoke(main, ["diagnose", "--output", str(tmp_path / name)])
        assert done.exit_code == 1 and "cannot be written" in done.output
    assert precious.read_text() == "mine"


def test_without_oned_it_says_so_and_has_the_rest(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONE_XMLRPC", "http://127.0.0.1:1/RPC2")
    assert importlib.import_module("onedr.cli.diagnose")
    done = CliRunner().invoke(main, ["diagnose", "--output", str(tmp_path / "out.tar.gz")])
    assert done.exit_code == 0, done.output
    with tarfile.open(tmp_path / "out.tar.gz") as archive:
        names = archive.getnames()
    assert "out/onedr.log" in names and "out/front-end.txt" in names
