"""Files of `onedr setup` on a machine: keyrings, the join file, secrets, and rbd-mirror's unit (by a stand-
in for systemctl).
"""
from __future__ import annotations

import base64
import os
import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from onedr.ceph import keyring
from onedr.host import secret_file, systemd
from onedr.host.process import ProcessError
from onedr.model.errors import InputError, RefusedError
from onedr.pairing import join as pairing_join
from onedr.pairing import join_file
from onedr.pairing.apply import ChangeApplier
from onedr.pairing.facts import Change, ChangeKind
from onedr.pairing.undo_log import UndoLog

SHARED = "# by hand\n[mon.]\n\tkey = AAA=\n\tcaps mon = \"allow *\"\n[client.x]\n\tkey = BBB=\n"
FILE = join_file.JoinFile(
    "0a1b2c3d", "site-a", "one", "fsid", "[v2:10.0.0.1:3300]", 1e9, "KEY==", join_file.new_secret()
)


def test_a_join_file_with_a_key_that_ceph_here_cannot_read_is_refused_with_the_commands(tmp_path: Path) -> None:
    key = base64.b64encode(struct.pack("<HIIH", 99, 7, 8, 32) + bytes(32)).decode()
    join_file.write_join_file(tmp_path / "join", replace(FILE, key=key, expires=time.time() + 60))
    with pytest.raises(RefusedError, match="at site site-a: ceph mon set auth_allowed_ciphers aes,aes256k"):
        pairing_join.open_join_file(tmp_path / "join", UndoLog(), [], time.time())


def test_a_users_key_comes_and_goes_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    path.write_text(SHARED)
    keyring.put_key(path, "client.new", "CCC=", None)
    assert path.read_text().startswith(SHARED) and keyring.key_in(path, "client.new") == "CCC="
    keyring.put_key(path, "client.x", "DDD=", None)
    assert keyring.key_in(path, "client.x") == "DDD=" and keyring.key_in(path, "mon.") == "AAA="
    keyring.put_key(path, "client.x", "BBB=", None)
    keyring.drop_key(path, "client.new")
    assert path.read_text() == SHARED
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_keyring_of_our_own_goes_with_its_last_key(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keyring"
    assert keyring.key_in(path, "client.x") is None
    keyring.put_key(path, "client.x", "BBB=", None)
    assert [item.name for item in path.parent.iterdir()] == ["keyring"], "nothing is left beside it"
    keyring.drop_key(path, "client.x")
    assert not path.exists()
    keyring.drop_key(path, "client.x")


def test_the_file_librados_would_look_into(tmp_path: Path) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text(f"[global]\nmon_host = 127.0.0.1\nkeyring = {tmp_path}/$name.keyring,{tmp_path}/shared\n")
    assert keyring.path_for(str(conf), "client.x") == tmp_path / "client.x.keyring"
    (tmp_path / "shared").write_text(SHARED)
    assert keyring.path_for(str(conf), "client.x") == tmp_path / "shared"
    assert keyring.option_in_file(str(conf), "client.x", "rbd_mirroring_delete_delay") is None
    conf.write_text("[client.x]\nrbd_mirroring_delete_delay = 7\n")
    assert keyring.option_in_file(str(conf), "client.x", "rbd_mirroring_delete_delay") == "7"
    assert keyring.option_in_file(str(conf), "client.y", "rbd_mirroring_delete_delay") is None


def test_a_join_file_reads_back_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "join"
    join_file.write_join_file(path, FILE)
    assert path.stat().st_mode & 0o777 == 0o600
    assert join_file.read_join_file(path) == FILE
    text = path.read_text()
    for spoilt in (
        text.replace("site-a", "site-b"),
        text.replace("1000000000.0", "2000000000.0"),
        text[:-20],
        "[]",
        "null",
    ):
        path.write_text(spoilt)
        with pytest.raises(InputError):
            join_file.read_join_file(path)
    path.write_text(text.replace('"onedr_join": 1', '"onedr_join": 2'))
    with pytest.raises(InputError, match="another release"):
        join_file.read_join_file(path)
    path.write_text(text)
    path.chmod(0o640)
    with pytest.raises(InputError, match="chmod 600"):
        join_file.read_join_file(path)
    assert "KEY==" not in repr(FILE) and FILE.secret not in repr(FILE)


def test_a_message_opens_with_its_own_key_only() -> None:
    text = join_file.encrypted(FILE.secret, {"token": "secret", "site": "site-a"})
    assert "secret" not in text
    assert join_file.decrypted(FILE.secret, text) == {"token": "secret", "site": "site-a"}
    for secret, message in (
        (join_file.new_secret(), text),
        (FILE.secret, text[:-8] + "AAAAAAA="),
        ("AAAA", text),
    ):
        with pytest.raises(RefusedError):
            join_file.decrypted(secret, message)
    assert join_file.new_id() != join_file.new_id() and replace(FILE, pool="two") != FILE


def test_what_the_file_says_does_not_count_where_the_sealed_message_says_otherwise() -> None:
    says = {
        "token": "t",
        "record_key": "",
        "site": "site-a",
        "pool": "one",
        "fsid": "fsid",
        "expires": "100",
        "site_index": "1",
    }
    assert pairing_join._session(FILE, says, 99.0).join_offer.site_index == 1
    with pytest.raises(RefusedError, match="was valid until 1970-01-01 00:01:40Z"):
        pairing_join._session(FILE, says, 101.0)
    for key in ("site", "pool", "fsid"):
        with pytest.raises(RefusedError, match="was changed"):
            pairing_join._session(FILE, {**says, key: "other"}, 99.0)


def test_a_secret_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "is-a-folder"
    folder.mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        secret_file.write_secret(folder, "x")
    assert [item.name for item in tmp_path.iterdir()] == ["is-a-folder"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_the_front_ends_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/etc/one` is root's, `/var/lib/one` is oneadmin's: it is oneadmin who must read the key."""
    for name in ("etc", "var"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "var", 12345, -1)
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    key = tmp_path / "etc/onedr/record.key"
    hands = ChangeApplier(None, "")  # type: ignore[arg-type]
    hands.write(Change(ChangeKind.KEY, str(key), None, "a new one", "text"))
    assert key.stat().st_uid == 12345 and key.stat().st_mode & 0o777 == 0o600
    digest = hands.read(ChangeKind.KEY, str(key))
    assert digest and digest not in key.read_text()
    os.chown(key, 23456, -1)
    secret_file.write_secret(key, key.read_text(), 12345)
    assert key.stat().st_uid == 23456, "a file that is there keeps its owner"
    hands.write(Change(ChangeKind.KEY, str(key), digest, None, "text"))
    assert hands.read(ChangeKind.KEY, str(key)) is None


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in: it notes its words, keeps which units run in files, and fails when told to."""
    calls = tmp_path / "calls"
    script = tmp_path / "bin" / "systemctl"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$@" >>{calls}\nfor last; do :; done\n[ -e {tmp_path}/broken ] && {{ echo no >&2; exit 1; }}\n'
        f'case $1 in is-*) [ -e "{tmp_path}/$1-$last" ];; restart) : >"{tmp_path}/is-active-$last";;\n'
        f'enable) : >"{tmp_path}/is-enabled-$last";; disable) rm -f "{tmp_path}"/is-*-"$last";; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(systemd, "RUNTIME_FOLDER", tmp_path)
    monkeypatch.setattr(systemd, "_FOLDERS", (tmp_path,))
    (tmp_path / "ceph-rbd-mirror@.service").touch()
    return calls


def test_the_packaged_unit_runs_and_ends(systemctl: Path) -> None:
    unit = systemd.mirror_unit("", "client.rbd-mirror.site-a")
    assert unit == "ceph-rbd-mirror@rbd-mirror.site-a.service"
    assert not systemd.is_active(unit)
    systemd.start_unit(unit)
    assert systemd.is_active(unit)
    systemd.stop_unit(unit)
    assert not systemd.is_active(unit)
    (systemctl.parent / "broken").touch()
    with pytest.raises(ProcessError):
        systemd.start_unit(unit)


def test_where_there_is_no_such_unit_it_is_said_what_to_start(systemctl: Path) -> None:
    assert systemd.mirror_unit("/elsewhere/ceph.conf", "client.rbd-mirror.a") == "", (
        "the packaged unit reads /etc/ceph/ceph.conf"
    )
    assert "CEPH_CONF=/elsewhere/ceph.conf rbd-mirror -f -n client.rbd-mirror.a" in systemd.manual_hint(
        "/elsewhere/ceph.conf", "client.rbd-mirror.a"
    )
    (systemctl.parent / "ceph-rbd-mirror@.service").unlink()
    assert systemd.mirror_unit("", "client.rbd-mirror.a") == ""
    assert "systemctl enable --now ceph-rbd-mirror@rbd-mirror.a" in systemd.manual_hint("", "client.rbd-mirror.a")
