"""`restore`: a VM's disks get back what a backup holds, in place and mirrored; with stand-ins for the backup datastore's `ls`
and OpenNebula's downloader. Also: what backups leave on a disk stops no other action.
"""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import driver_calls as calls
import pytest
import rbd
from driver_calls import (
    DATASTORE_ID,
    MIB,
    SYSTEM_ID,
    Drivers,
    arrives,
    contents,
    datastore,
    digest,
    image,
    refused,
    succeeded,
)

from sandbox.bed import Bed
from sandbox.layout import Site
from sandbox.waiting import until

BACKUPS, BACKUP = 200, 900  # ids of the backup datastore and the backup image
MODES = {"JOURNAL": rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, "SNAPSHOT": rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT}
LS = '#!/bin/bash\necho "$@" > {0}/argv; cat > {0}/stdin; cat {0}/list\n'
DOWNLOADER = '#!/bin/bash\n[ -e {0}/wait ] && exec tail -f /dev/null --pid=$PPID\ncp "{0}/$(basename "$2")" "$3"\n'


class Backup:
    """What the backup datastore holds: files in a folder, which `ls` and the downloader know."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._listed: dict[str, str] = {}
        self.list("{}")

    def list(self, text: str) -> None:
        (self.folder / "list").write_text(text)

    def file(self, disk: object, name: str) -> Path:
        """Where the backup of a disk is to be put."""
        self._listed[str(disk)] = f"rsync://{BACKUPS}//0:3ffce7,1:6ca565/var/lib/one/datastores/{BACKUPS}/7/3ffce7/{name}"
        self.list(json.dumps(self._listed))
        return self.folder / name

    def asked(self) -> tuple[str, str]:
        """Arguments and input of the last `ls`."""
        return (self.folder / "argv").read_text().strip(), (self.folder / "stdin").read_text()


@pytest.fixture
def backup(here: Drivers, site: Site, tmp_path: Path) -> Iterator[Backup]:
    folder = tmp_path / "backup"
    folder.mkdir()
    remotes = site.one_location / "var/remotes/datastore"
    for path, script in ((remotes / "recorder/ls", LS), (remotes / "downloader.sh", DOWNLOADER)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(script.format(folder))
        path.chmod(0o755)
    (tmp_path / "staging").mkdir()
    know(here, tmp_path)
    here.api.datastores[SYSTEM_ID] = {**datastore(here.site), "ID": SYSTEM_ID, "NAME": "system"}
    here.api.datastores[BACKUPS] = {"ID": BACKUPS, "NAME": "backups", "DS_MAD": "RECORDER", "TEMPLATE": {"X": "1"}}
    here.api.images[:] = [{**image(BACKUP), "TYPE": 6, "DATASTORE_ID": BACKUPS}]
    yield Backup(folder)
    here.api.vms.clear()
    here.api.images.clear()
    shutil.rmtree(remotes)


def know(here: Drivers, tmp_path: Path, **more: str) -> None:
    here.api.datastores[DATASTORE_ID] = datastore(here.site, STAGING_DIR=str(tmp_path / "staging"), **more)


def vm(here: Drivers, *disks: dict[str, str]) -> None:
    usual = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(here.site.ceph_conf), "POOL_NAME": "one", "DISK_TYPE": "RBD"}
    numbered = [{"DISK_ID": str(n), "DATASTORE_ID": str(DATASTORE_ID), "TYPE": "RBD", **usual, **d} for n, d in enumerate(disks)]
    here.api.vms[7] = {"ID": 7, "NAME": "vm <7>", "TEMPLATE": {"DISK": numbered}, "USER_TEMPLATE": {}, "LCM_STATE": 0}


def folder(tmp_path: Path) -> Path:
    return tmp_path / f"datastores/{SYSTEM_ID}/7"


def restore(here: Drivers, tmp_path: Path, disk: int = -1, increment: int = 1) -> calls.Done:
    return here.tm("restore", f"localhost:{folder(tmp_path)}", 7, BACKUP, increment, disk)


def base(here: Drivers, tmp_path: Path, number: int, **attributes: str) -> str:
    """An image of 8 MiB by cp; its file stays as tmp_path/base-N."""
    path = tmp_path / f"base-{number}"
    calls.random_file(path, 5 * MIB, seed=number)
    os.truncate(path, 8 * MIB)
    know(here, tmp_path, **attributes)
    succeeded(here.ds("cp", image(number, str(path)), here.api.datastores[DATASTORE_ID]), f"one/one-{number} raw\n")
    return f"one-{number}"


def mirrored_clone(here: Drivers, tmp_path: Path, name: str) -> str:
    """Disk 0 of VM 7, mirrored at once: no keeper runs here that would wait for its base's snapshot at the peer."""
    done = here.tm("clone", f"front:one/{name}", f"localhost:{folder(tmp_path)}/disk.0", 7, DATASTORE_ID)
    assert done.returncode == 0, done.stderr
    here.rbd("mirror", "image", "enable", f"one/{name}-7-0", "journal")
    return f"{name}-7-0"


def identity(site: Site, name: str) -> tuple[str, str]:
    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        return str(found.id()), str(found.mirror_image_get_info()["global_id"])


def snapshots(site: Site, name: str) -> list[str]:
    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        return sorted(s["name"] for s in found.list_snaps() if s["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER)


def nothing_stays(tmp_path: Path) -> None:
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize(("mode", "clone"), [("JOURNAL", False), ("JOURNAL", True), ("SNAPSHOT", False)])
def test_a_disk_gets_its_backup_in_place_and_stays_mirrored(
    here: Drivers, site: Site, there: Site, tmp_path: Path, backup: Backup, mode: str, clone: bool
) -> None:
    number = 10 + list(MODES).index(mode) + 5 * clone
    name = base(here, tmp_path, number, DR_PROTECT="YES", DR_MODE=mode)
    vm(here, {"SOURCE": f"one/{name}", "CLONE": "YES" if clone else "NO", "SIZE": "8", "ORIGINAL_SIZE": "8"})
    if clone:
        name = mirrored_clone(here, tmp_path, name)
    before = identity(site, name)
    for snapshot in ("one_backup_0", "one_backup_1", "0"):
        here.rbd("snap", "create", f"one/{name}@{snapshot}")
        here.rbd("snap", "protect", f"one/{name}@{snapshot}")
    calls.write(site, name, b"lost" * 200_000, 3 * MIB)
    raw = tmp_path / "raw"
    raw.write_bytes((tmp_path / f"base-{number}").read_bytes())
    with raw.open("r+b") as file:
        file.write(b"what the backup holds" * 1000)
        file.seek(4 * MIB)
        file.write(bytes(MIB))
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", raw, backup.file(0, "disk.0.0")], check=True)
    succeeded(restore(here, tmp_path))
    wanted = calls.sha256(raw.read_bytes())
    assert digest(site, name) == wanted and identity(site, name) == before
    assert calls.mode_of(site, name) == MODES[mode]
    assert "one_backup_0" not in (left := snapshots(site, name)) and "one_backup_1" not in left
    assert ("0" in left) != clone  # oned forgets the snapshots of a disk that is no image of its own
    arrives(there, name, wanted)
    argv, stdin = backup.asked()
    assert argv == "-i 1" and "<VM><ID>7</ID><NAME>vm &lt;7&gt;</NAME>" in stdin and f"<IMAGE><ID>{BACKUP}</ID>" in stdin
    nothing_stays(tmp_path)


def test_increments_are_applied_as_rbd_itself_would(here: Drivers, site: Site, tmp_path: Path, backup: Backup) -> None:
    name = base(here, tmp_path, 20)
    vm(here, {"SOURCE": f"one/{name}", "CLONE": "NO"})
    files = [backup.folder / "disk.0.rbd2"]
    here.rbd("snap", "create", f"one/{name}@one_backup_0")
    here.rbd("snap", "protect", f"one/{name}@one_backup_0")
    here.rbd("export", "--export-format", "2", f"one/{name}@one_backup_0", str(files[0]))
    for increment in (1, 2):
        calls.write(site, name, b"increment" * 1000 * increment, increment * 2 * MIB)
        with calls.opened(site) as io, rbd.Image(io, name) as found:
            found.discard(0 if increment == 1 else 4 * MIB, 4 * MIB)
            found.resize((8 + increment) * MIB)
        here.rbd("snap", "create", f"one/{name}@one_backup_{increment}")
        files.append(backup.folder / f"disk.0.{increment}.rbdiff")
        last, new = f"one_backup_{increment - 1}", f"one/{name}@one_backup_{increment}"
        here.rbd("export-diff", "--from-snap", last, new, str(files[-1]))
    wanted = digest(site, name)
    with tarfile.open(backup.file(0, "disk.0.tar"), "w:gz") as packed:
        for file in reversed(files):
            packed.add(file, file.name)
    calls.write(site, name, b"lost" * 100_000, MIB)
    succeeded(restore(here, tmp_path, disk=0, increment=2))
    assert digest(site, name) == wanted and snapshots(site, name) == []
    made = here.ds("cp", image(21, str(backup.folder / "disk.0.tar"), 16), here.api.datastores[DATASTORE_ID])  # import of the same
    succeeded(made, "one/one-21 raw\n")
    assert digest(site, "one-21") == wanted


def test_the_images_size_is_what_oned_knows(here: Drivers, site: Site, tmp_path: Path, backup: Backup) -> None:
    small, large = base(here, tmp_path, 22), base(here, tmp_path, 23)
    vm(here, {"SOURCE": f"one/{small}", "CLONE": "NO"}, {"SOURCE": f"one/{large}", "CLONE": "NO"})
    calls.random_file(backup.file(0, "disk.0.0"), 10 * MIB, seed=1)
    calls.random_file(backup.file(1, "disk.1.0"), 3 * MIB, seed=2)
    succeeded(restore(here, tmp_path))
    assert digest(site, small) == calls.sha256((backup.folder / "disk.0.0").read_bytes())
    assert digest(site, large) == calls.sha256((backup.folder / "disk.1.0").read_bytes() + bytes(5 * MIB))


def test_only_the_wanted_disk_is_restored(here: Drivers, site: Site, tmp_path: Path, backup: Backup) -> None:
    first, second = base(here, tmp_path, 24), base(here, tmp_path, 25)
    vm(here, {"SOURCE": f"one/{first}", "CLONE": "NO"}, {"SOURCE": f"one/{second}", "CLONE": "NO"})
    untouched = digest(site, first)
    calls.random_file(backup.file(0, "disk.0.0"), 8 * MIB, seed=3)
    wanted = calls.random_file(backup.file(1, "disk.1.0"), 8 * MIB, seed=4)
    succeeded(restore(here, tmp_path, disk=1, increment=-1))
    assert (digest(site, first), digest(site, second)) == (untouched, wanted)
    assert backup.asked()[0] == "-i -1"
    refused(restore(here, tmp_path, disk=5), "has no disk 5")


def test_what_cannot_be_restored_changes_nothing(
    here: Drivers, ceph_bed: Bed, site: Site, there: Site, tmp_path: Path, backup: Backup
) -> None:
    first, second = base(here, tmp_path, 26, DR_PROTECT="YES"), base(here, tmp_path, 27)
    disks = ({"SOURCE": f"one/{first}", "CLONE": "NO"}, {"SOURCE": f"one/{second}", "CLONE": "NO"})
    vm(here, *disks)
    before = digest(site, first), digest(site, second)
    arrives(there, first, str(before[0]))
    calls.random_file(backup.file(0, "disk.0.0"), 8 * MIB, seed=5)
    backup.file(1, "disk.1.gone")
    refused(restore(here, tmp_path), "disk.1.gone")
    (backup.folder / "disk.1.gone").write_bytes(b"\x1f\x8b garbage")
    refused(restore(here, tmp_path), "damaged")
    backup.list(json.dumps({"0": "rsync://1/$(id)", "1": "x"}))
    refused(restore(here, tmp_path), "not an address")
    backup.list("no JSON")
    refused(restore(here, tmp_path), "returned an invalid list")
    backup.file(0, "disk.0.0")
    vm(here, {**disks[0], "DISK_TYPE": "FILE"}, disks[1])
    refused(restore(here, tmp_path, disk=0), "is a file on its host")
    vm(here, *disks)
    with calls.opened(site) as io, rbd.Image(io, first) as found:
        found.mirror_image_demote()
    refused(restore(here, tmp_path, disk=0), "the peer's copy")
    refused(here.tm("restore", f"localhost:{tmp_path}", 7, BACKUP, 1, 0), "not the folder of VM 7")
    assert (digest(site, first), digest(site, second)) == before
    nothing_stays(tmp_path)


def test_a_killed_restore_is_repeated_and_leaves_nothing(here: Drivers, site: Site, tmp_path: Path, backup: Backup) -> None:
    name = base(here, tmp_path, 28)
    vm(here, {"SOURCE": f"one/{name}", "CLONE": "NO"})
    before = digest(site, name)
    wanted = calls.random_file(backup.file(0, "disk.0.0"), 8 * MIB, seed=6)
    (backup.folder / "wait").touch()
    with here.popen("tm", "restore", f"localhost:{folder(tmp_path)}", 7, BACKUP, 1, 0) as process:
        try:
            until("it to fetch", lambda: any((tmp_path / "staging").glob("onedr-*/0")), 30)
        finally:
            process.send_signal(signal.SIGKILL)
    (backup.folder / "wait").unlink()
    assert digest(site, name) == before and len(list((tmp_path / "staging").iterdir())) == 1
    succeeded(restore(here, tmp_path))
    assert digest(site, name) == wanted
    nothing_stays(tmp_path)


def test_the_tpm_comes_back_with_disk_0(here: Drivers, site: Site, tmp_path: Path, backup: Backup) -> None:
    name = base(here, tmp_path, 29)
    vm(here, {"SOURCE": f"one/{name}", "CLONE": "NO"}, {"SOURCE": f"one/{name}", "CLONE": "YES"})
    calls.random_file(backup.file(0, "disk.0.0"), 8 * MIB, seed=7)
    own = tmp_path / "own"
    (own / "tpm").mkdir(parents=True)
    (own / "tpm/state").write_text("sealed")
    with tarfile.open(backup.file("tpm", "disk.tpm.0"), "w:gz") as packed:
        packed.add(own / "tpm", "tpm")
    (folder(tmp_path) / "tpm").mkdir(parents=True)
    (folder(tmp_path) / "tpm/newer").touch()
    succeeded(restore(here, tmp_path, disk=0))
    assert [(file.name, file.read_text()) for file in (folder(tmp_path) / "tpm").iterdir()] == [("state", "sealed")]
    with tarfile.open(backup.file("tpm", "disk.tpm.0"), "w:gz") as packed:
        packed.add(own / "tpm/state", "tpm/../../../escaped")
    before = digest(site, name)
    refused(restore(here, tmp_path, disk=0), "not below tpm/")
    assert not list(tmp_path.rglob("escaped")) and digest(site, name) == before


@pytest.mark.parametrize("clone", [False, True], ids=["persistent", "clone"])
def test_what_backups_leave_on_a_disk_stops_no_removal(
    here: Drivers, site: Site, there: Site, tmp_path: Path, backup: Backup, clone: bool
) -> None:
    name = base(here, tmp_path, 31 + clone, DR_PROTECT="YES")
    own = image(31 + clone, SOURCE=f"one/{name}")
    if clone:
        vm(here, {"SOURCE": f"one/{name}", "CLONE": "YES"})
        name = mirrored_clone(here, tmp_path, name)
    for snapshot in ("one_backup", "one_backup_3"):
        here.rbd("snap", "create", f"one/{name}@{snapshot}")
        here.rbd("snap", "protect", f"one/{name}@{snapshot}")
    if clone:
        succeeded(here.tm("delete", f"localhost:{folder(tmp_path)}/disk.0", 7, DATASTORE_ID))
    else:
        succeeded(here.ds("rm", own, here.api.datastores[DATASTORE_ID]))
    assert name not in contents(site)[0]
    calls.vanishes(there, name)


@pytest.mark.parametrize("action", ["restore", "increment_flatten"])
def test_a_ceph_datastore_holds_no_backups(here: Drivers, action: str) -> None:
    refused(here.ds(action, image(1), datastore(here.site)), "has no backups")
