"""Restoring backups: what is chosen of a backup, and the same blocks on a bridge host as on the front-end."""
from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from onedr.driver import restore, vm_sizes
from onedr.driver.restore import _BridgeBackup, _LocalBackup, _Request
from onedr.model import template
from onedr.model.errors import InputError
from onedr.opennebula.api import FrontEnd

MIB = 1 << 20
FOLDER = "/var/lib/one/datastores/101/7"


class Line:
    """A bridge's line to the front-end: everything goes through JSON."""

    def __init__(self, services: dict[str, Any]):
        self._services = services

    def call(self, name: str, **arguments: Any) -> tuple[Any, bytes]:
        value, body = self._services[name](json.loads(json.dumps(arguments)))
        return json.loads(json.dumps(value)), body


@pytest.fixture
def backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A front-end whose backup datastore lists disk 0 and 2, and fetches what lies in the folder."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setenv("ONE_AUTH", str(tmp_path / "auth"))
    (tmp_path / "auth").write_text("oneadmin:x")
    remotes, files = tmp_path / "var/remotes/datastore", tmp_path / "files"
    (remotes / "rsync").mkdir(parents=True)
    files.mkdir()
    (tmp_path / "staging").mkdir()
    scripts = {
        "rsync/ls": """echo '{"0": "rsync://1//0:a/x/disk.0.0", "2": "rsync://1//0:a/x/disk.2.0"}'""",
        "downloader.sh": f'cp "{files}/$(basename "$2")" "$3"',
    }
    for name, script in scripts.items():
        (remotes / name).write_text(f"#!/bin/bash\n{script}\n")
        (remotes / name).chmod(0o755)
    answers = {
        "image.info": "<IMAGE><ID>9</ID><DATASTORE_ID>200</DATASTORE_ID></IMAGE>",
        "datastore.info": "<DATASTORE><ID>200</ID><DS_MAD>rsync</DS_MAD></DATASTORE>",
    }
    monkeypatch.setattr(FrontEnd, "call", lambda _, method, *__: answers[method])
    return files


def test_a_bridge_host_gets_the_same_disks_and_blocks(backup: Path, tmp_path: Path) -> None:
    (backup / "disk.0.0").write_bytes(b"a" * MIB + bytes(8 * MIB) + b"b" * MIB)
    (backup / "disk.2.0").write_bytes(bytes(5 * MIB))
    home = (("STAGING_DIR", str(tmp_path / "staging")),)
    with ExitStack() as stack:
        here = _LocalBackup(
            _Request("h", FOLDER, 7, 9, "0", -1), template.parse_xml("<VM><ID>7</ID></VM>"), home, stack
        )
        there = _BridgeBackup(Line(here.services()))  # type: ignore[arg-type]
        assert there.disks() == [0, 2]
        assert there.stage() == [(0, 10 * MIB), (2, 5 * MIB)]
        for disk in (0, 2):
            assert list(there.blocks(disk)) == list(here.blocks(disk))
        assert [offset for offset, _ in here.blocks(0)] == [0, 8 * MIB] and not list(here.blocks(2))
    assert not list((tmp_path / "staging").iterdir())


@pytest.mark.parametrize(("listed", "disk_id", "chosen"), [
    ({"0": "a", "1": "b", "tpm": "t"}, -1, {"0", "1", "tpm"}),
    ({"0": "a", "1": "b", "tpm": "t"}, 1, {"1"}),
    ({"0": "a", "1": "b", "tpm": "t"}, 0, {"0", "tpm"}),
    ({"0": "a", "../x": "b"}, -1, {"0"}),
])
def test_the_tpm_goes_with_disk_0(listed: dict[str, str], disk_id: int, chosen: set[str]) -> None:
    assert set(restore._wanted(listed, _Request("h", FOLDER, 7, 9, "0", disk_id))) == chosen


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["h:/x", "7", "9", "0", "0"], "not the folder of VM 7"),
        ([f"h:{FOLDER}", "8", "9", "0", "0"], "not the folder of VM 8"),
        ([f"h:{FOLDER}", "7", "9", "-2", "0"], "INCREMENT_ID"),
        ([f"h:{FOLDER}", "7", "9", "0", "-2"], "DISK_ID"),
        ([f"h:{FOLDER}/../7", "7", "9", "0", "0"], "not the folder"),
        ([f"h:{FOLDER}", "7", "9", "0"], "Missing argument DISK_ID"),
    ],
)
def test_arguments_out_of_order_are_named(argv: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        restore._request(argv)


def test_many_vms_are_told_in_several_datagrams() -> None:
    found = {vm: {disk: 10 for disk in range(3)} for vm in range(250)}
    sent = vm_sizes.messages(found)
    assert len(sent) == 3 and all(len(message) < 60_000 for message in sent)
