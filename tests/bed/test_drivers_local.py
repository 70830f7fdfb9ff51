"""Disks that a system datastore with TM_MAD=ssh keeps as files of the host: `*.ssh` actions on two real clusters."""
from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

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

HOST = "localhost"
MODES = {"JOURNAL": rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL, "SNAPSHOT": rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT}
SAVING, SAVING_STOPPED, RESIZING = "26", "68", "62"


@pytest.fixture(autouse=True)
def front_end(here: Drivers) -> Iterator[None]:
    know(here)
    yield
    here.api.vms.clear()


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where the host keeps disk 0 of VM 7."""
    return tmp_path / f"datastores/{SYSTEM_ID}/7/disk.0"


def know(here: Drivers, **attributes: str) -> None:
    here.api.datastores[DATASTORE_ID] = datastore(here.site, **attributes)


def vm(here: Drivers, name: str, lcm_state: str = "3", driver: str = "kvm", **more: str) -> None:
    """VM 7 on this host; its disk 0 comes from the image."""
    usual = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(here.site.ceph_conf), "POOL_NAME": "one", "DISK_ID": "0"}
    own = {"SOURCE": f"one/{name}", "SIZE": "8", "ORIGINAL_SIZE": "8", "DISK_TYPE": "FILE", "TM_MAD_SYSTEM": "ssh", "CLONE": "NO"}
    here.api.vms[7] = {
        "ID": 7, "NAME": "vm 7", "LCM_STATE": lcm_state, "DEPLOY_ID": "one-7", "TEMPLATE": {"DISK": [{**usual, **own, **more}]},
        "USER_TEMPLATE": {}, "HISTORY_RECORDS": {"HISTORY": [
            {"HOSTNAME": "elsewhere", "VM_MAD": "old"}, {"HOSTNAME": HOST, "VM_MAD": driver},
        ]},
    }


def base(here: Drivers, tmp_path: Path, number: int, size: int = 8 * MIB, **attributes: str) -> str:
    """An image by cp: data at both ends, a hole between."""
    path = tmp_path / "base"
    calls.random_file(path, MIB, seed=number)
    with path.open("r+b") as file:
        file.truncate(size)
        file.seek(size - 4096)
        file.write(b"the end" * 100)
    know(here, **attributes)
    succeeded(here.ds("cp", image(number, str(path)), datastore(here.site, **attributes)), f"one/one-{number} raw\n")
    return f"one-{number}"


def out(here: Drivers, action: str, name: str, disk: Path) -> calls.Done:
    return here.tm(action, f"front:one/{name}", f"{HOST}:{disk}", 7, DATASTORE_ID)


def back(here: Drivers, name: str, disk: Path) -> calls.Done:
    return here.tm("mvds.ssh", f"{HOST}:{disk}", f"one/{name}", 7, DATASTORE_ID)


def sha_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def rbd_id(site: Site, name: str) -> str:
    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        return str(found.id())


def changed_since(site: Site, name: str, snapshot: str) -> int:
    """Bytes of the image's first 8 MiB that were written after the snapshot."""
    sizes = []
    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        found.diff_iterate(0, 8 * MIB, snapshot, lambda _, length, __: sizes.append(length))
    return sum(sizes)


@pytest.mark.parametrize("action", ["clone.ssh", "ln.ssh"])
def test_an_image_goes_out_as_a_sparse_file(here: Drivers, site: Site, tmp_path: Path, disk: Path, action: str) -> None:
    name = base(here, tmp_path, 10 if action == "ln.ssh" else 11, 16 * MIB)
    vm(here, name)
    for _ in range(2):  # what a killed run left is made anew
        succeeded(out(here, action, name, disk))
        assert sha_of(disk) == digest(site, name)
        disk.write_bytes(b"half")
    succeeded(out(here, action, name, disk))
    assert disk.stat().st_blocks * 512 <= 8 * MIB
    assert (disk.parent.parent / ".monitor").read_text() == "ssh\n"
    assert sorted(file.name for file in disk.parent.iterdir()) == ["disk.0"]


def test_a_clone_grows_to_the_disks_size(here: Drivers, site: Site, tmp_path: Path, disk: Path) -> None:
    name = base(here, tmp_path, 12)
    vm(here, name, SIZE="20", CLONE="YES")
    succeeded(out(here, "clone.ssh", name, disk))
    assert disk.stat().st_size == 20 * MIB
    os.truncate(disk, 8 * MIB)
    assert sha_of(disk) == digest(site, name)


def test_an_image_that_is_itself_a_clone_goes_out_whole(here: Drivers, site: Site, tmp_path: Path, disk: Path) -> None:
    parent = base(here, tmp_path, 13)
    here.rbd("snap", "create", f"one/{parent}@snap")
    here.rbd("snap", "protect", f"one/{parent}@snap")
    here.rbd("clone", f"one/{parent}@snap", "one/one-14")
    calls.write(site, "one-14", b"own" * 1000, 5 * MIB)
    vm(here, "one-14")
    succeeded(out(here, "clone.ssh", "one-14", disk))
    assert sha_of(disk) == digest(site, "one-14") != digest(site, parent)


@pytest.mark.parametrize("mode", MODES)
def test_a_persistent_disk_comes_back_in_place(here: Drivers, site: Site, there: Site, tmp_path: Path, disk: Path, mode: str) -> None:
    name = base(here, tmp_path, 20 + list(MODES).index(mode), DR_PROTECT="YES", DR_MODE=mode)
    vm(here, name, SIZE="12")
    before = rbd_id(site, name)
    first = digest(site, name)
    assert first is not None
    arrives(there, name, first)
    succeeded(out(here, "ln.ssh", name, disk))
    with disk.open("r+b") as file:  # what the VM did: new data, data that became zeros, and a larger disk
        file.write(b"x" * 5000)
        file.seek(300_000)
        file.write(bytes(200_000))
        file.truncate(12 * MIB)
        file.seek(11 * MIB)
        file.write(b"grown")
    wanted = sha_of(disk)
    here.rbd("snap", "create", f"one/{name}@before")
    succeeded(back(here, name, disk))
    assert not disk.exists()
    assert digest(site, name) == wanted and rbd_id(site, name) == before
    assert calls.mode_of(site, name) == MODES[mode]
    assert changed_since(site, name, "before") < 10 * 64 * 1024
    arrives(there, name, wanted)


def test_a_killed_return_ends_as_it_should_when_repeated(here: Drivers, site: Site, tmp_path: Path, disk: Path) -> None:
    name = base(here, tmp_path, 25)
    vm(here, name)
    here.rbd("feature", "disable", f"one/{name}", "fast-diff", "object-map", "exclusive-lock")  # a dead owner's lasts 30 s
    succeeded(out(here, "ln.ssh", name, disk))
    first, wanted = digest(site, name), calls.random_file(disk, 8 * MIB, seed=99)
    slow = tmp_path / "bin"
    slow.mkdir()
    tar = slow / "tar"  # the first half of the file, then nothing more
    tar.write_text(f'#!/bin/bash\n{shutil.which("tar")} "$@" | head -c 6000000; exec tail -f /dev/null --pid=$PPID\n')
    tar.chmod(0o755)
    with here.popen(
        "tm", "mvds.ssh", f"{HOST}:{disk}", f"one/{name}", 7, DATASTORE_ID, PATH=f"{slow}:{os.environ['PATH']}"
    ) as process:
        try:
            until("half of it to be there", lambda: digest(site, name) != first, 30)
        finally:
            process.kill()
    assert digest(site, name) != wanted and disk.exists()
    succeeded(back(here, name, disk))
    assert digest(site, name) == wanted


def test_what_must_not_be_written_back_is_refused_and_changes_nothing(
    here: Drivers, site: Site, tmp_path: Path, disk: Path
) -> None:
    name = base(here, tmp_path, 26)
    vm(here, name)
    before = digest(site, name)
    refused(back(here, name, disk), "disk.0")  # there is no file
    succeeded(out(here, "ln.ssh", name, disk))
    disk.write_bytes(b"x" * MIB)
    refused(back(here, name, disk), f"has {MIB} bytes", f"has {8 * MIB}", "onevm recover")
    disk.write_bytes(b"x" * 9 * MIB)
    refused(back(here, name, disk), f"has {9 * MIB} bytes")
    vm(here, name, lcm_state=SAVING, driver="lxc")
    refused(back(here, name, disk), "lxc")
    vm(here, name)
    refused(here.tm("mvds.ssh", f"elsewhere:{disk}", f"one/{name}", 7, DATASTORE_ID), "undeployed or stopped")
    assert digest(site, name) == before and disk.exists()


@pytest.mark.parametrize("action", ["clone.ssh", "ln.ssh", "mvds.ssh"])
def test_the_peers_copy_is_neither_handed_out_nor_written(
    here: Drivers, ceph_bed: Bed, there: Site, tmp_path: Path, disk: Path, action: str
) -> None:
    name = base(here, tmp_path, {"clone.ssh": 30, "ln.ssh": 31, "mvds.ssh": 32}[action], DR_PROTECT="YES")
    arrives(there, name, str(digest(here.site, name)))
    at_b = Drivers(ceph_bed, "site-b", here.api)
    vm(at_b, name)
    disk.parent.mkdir(parents=True)
    if action == "mvds.ssh":
        disk.write_bytes(b"x" * 8 * MIB)
        refused(back(at_b, name, disk), "the peer's copy")
    else:
        refused(out(at_b, action, name, disk), "the peer's copy")
        assert not disk.exists()


class Hypervisor:
    """A `virsh` that notes what it is asked and fails at the verbs in `broken`."""

    def __init__(self, folder: Path):
        self._log, self._broken = folder / "asked", folder / "broken"
        folder.mkdir()
        (folder / "virsh").write_text(
            f'#!/bin/bash\necho "$3 $5" >> {self._log}\nif grep -qx "$3" {self._broken}; then echo no agent >&2; exit 1; fi\n'
        )
        (folder / "virsh").chmod(0o755)
        self.env: dict[str, Any] = {"PATH": f"{folder}:{os.environ['PATH']}"}
        self.broken()

    def broken(self, *verbs: str) -> None:
        self._broken.write_text("".join(f"{verb}\n" for verb in verbs))
        self._log.write_text("")

    def asked(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def hypervisor(tmp_path: Path) -> Hypervisor:
    return Hypervisor(tmp_path / "hypervisor")


def save(here: Drivers, disk: Path, number: int, snapshot: int = -1, **env: Any) -> calls.Done:
    return here.call("tm", "cpds.ssh", f"{HOST}:{disk}", f"one/one-{number}", snapshot, 7, DATASTORE_ID, **env)


def test_a_disk_is_saved_as_a_mirrored_image(here: Drivers, site: Site, there: Site, tmp_path: Path, disk: Path) -> None:
    name = base(here, tmp_path, 40, DR_PROTECT="YES")
    vm(here, name, CLONE="YES")
    succeeded(out(here, "clone.ssh", name, disk))
    with disk.open("r+b") as file:
        file.write(b"changed by the VM")
    succeeded(save(here, disk, 41))
    assert digest(site, "one-41") == sha_of(disk)
    arrives(there, "one-41", sha_of(disk))


def test_a_running_vm_holds_still_while_its_disk_is_saved(
    here: Drivers, site: Site, tmp_path: Path, disk: Path, hypervisor: Hypervisor
) -> None:
    name = base(here, tmp_path, 42)
    vm(here, name, lcm_state=SAVING, CLONE="YES")
    succeeded(out(here, "clone.ssh", name, disk))
    succeeded(save(here, disk, 43, **hypervisor.env))
    assert hypervisor.asked() == ["domfsfreeze one-7", "domfsthaw one-7"]
    hypervisor.broken("domfsfreeze", "domfsthaw")
    succeeded(save(here, disk, 44, **hypervisor.env))
    assert hypervisor.asked() == ["domfsfreeze one-7", "domfsthaw one-7", "suspend one-7", "resume one-7"]
    assert digest(site, "one-43") == digest(site, "one-44") == sha_of(disk)


def test_a_vm_goes_on_whatever_fails_and_half_an_image_never_stays(
    here: Drivers, site: Site, tmp_path: Path, disk: Path, hypervisor: Hypervisor
) -> None:
    name = base(here, tmp_path, 45)
    vm(here, name, lcm_state=SAVING, CLONE="YES")
    refused(save(here, disk, 46, **hypervisor.env), "disk.0")  # there is no file
    assert hypervisor.asked()[-1] == "domfsthaw one-7"
    succeeded(out(here, "clone.ssh", name, disk))
    hypervisor.broken("domfsfreeze", "suspend")
    refused(save(here, disk, 46, **hypervisor.env), "neither frozen nor suspended", "no agent")
    hypervisor.broken("domfsthaw")
    refused(save(here, disk, 46, **hypervisor.env), "is still suspended", "virsh domfsthaw one-7")
    hypervisor.broken()
    refused(save(here, disk, 46, snapshot=0, **hypervisor.env), "snapshot")
    vm(here, name, lcm_state=SAVING_STOPPED, CLONE="YES")
    refused(save(here, disk, 46, **hypervisor.env), "undeployed or stopped")
    vm(here, name, lcm_state=SAVING, driver="lxc", CLONE="YES")
    refused(save(here, disk, 46, **hypervisor.env), "lxc")
    assert hypervisor.asked() == [] and "one-46" not in contents(site)[0]


def test_a_file_grows_unless_the_hypervisor_does_it(here: Drivers, tmp_path: Path, disk: Path) -> None:
    disk.parent.mkdir(parents=True)
    checksum = calls.random_file(disk, MIB)
    vm(here, "one-0", lcm_state=RESIZING)
    succeeded(here.tm("resize.ssh", f"{HOST}:{disk}", 3, 7, DATASTORE_ID))
    assert disk.stat().st_size == MIB
    vm(here, "one-0")
    succeeded(here.tm("resize.ssh", f"{HOST}:{disk}", 3, 7, DATASTORE_ID))
    assert disk.stat().st_size == 3 * MIB
    refused(here.tm("resize.ssh", f"{HOST}:{disk}", 1, 7, DATASTORE_ID), "qemu-img")
    os.truncate(disk, MIB)
    assert sha_of(disk) == checksum


def test_delete_leaves_the_file_to_the_folder_and_snapshots_are_refused(here: Drivers, disk: Path) -> None:
    disk.parent.mkdir(parents=True)
    disk.write_bytes(b"x")
    succeeded(here.tm("delete.ssh", f"{HOST}:{disk}", 7, DATASTORE_ID))
    for action in ("snap_create", "snap_create_live", "snap_delete", "snap_revert"):
        refused(here.tm(f"{action}.ssh", f"{HOST}:{disk}", 0, 7, DATASTORE_ID), "disk type FILE")
    assert disk.read_bytes() == b"x"


def test_sizes_of_vm_disks_are_told_to_monitord(here: Drivers, ceph_bed: Bed, site: Site, tmp_path: Path) -> None:
    for name in ("one-90", "one-90-7-0", "one-90-7-1", "one-sys-8-2", "one-90-99-0"):
        here.rbd("create", "--size", "64", f"one/{name}")
    for name, offsets in {"one-90": (0,), "one-90-7-0": (0, 4, 8), "one-sys-8-2": (60,), "one-90-99-0": (0,)}.items():
        for offset in offsets:
            calls.write(site, name, b"x", offset * MIB)
    here.rbd("image-meta", "set", "one/one-90-99-0", "onedr.made", '{"fsid": "of the peer", "what": "disk 0 of VM 99"}')
    listener = [
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM)", "s.bind(('127.0.0.1', 4999))", "s.settimeout(30)",
        "print(flush=True)", "print(s.recv(65536).decode())",
    ]
    conf = site.one_location / "etc/monitord.conf"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text('NETWORK = [\n MONITOR_ADDRESS = "auto", PORT = 4999,\n # PUBKEY = "x"\n PUBKEY = "" ]\n')
    data = {"DATASTORE": datastore(site), "MONITOR_VM_DISKS": 1}
    with here.bed.popen("site-a", [sys.executable, "-c", "; ".join(listener)], stdout=PIPE, text=True) as heard:
        assert heard.stdout is not None and heard.stdout.readline() == "\n"
        done = here.call("tm", "monitor", SYSTEM_ID, stdin=calls.encoded(calls.text("DS_DRIVER_ACTION_DATA", data)))
        said = heard.communicate(timeout=60)[0].split()
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("USED_MB=")
    assert said[:4] == ["MONITOR_VM", "SUCCESS", "-1", "0"]
    vms = dict(re.findall(r'VM=\[ID=(\d+), MONITOR="([^"]+)"\]', zlib.decompress(base64.b64decode(said[4])).decode()))
    told = {vm: base64.b64decode(text).decode() for vm, text in vms.items()}
    assert told["7"] == "DISK_SIZE = [ ID=0, SIZE=12 ] DISK_SIZE = [ ID=1, SIZE=0 ]"
    assert told["8"] == "DISK_SIZE = [ ID=2, SIZE=4 ]" and "99" not in told
    conf.write_text(conf.read_text().replace('PUBKEY = ""', 'PUBKEY = "/key"'))
    warned = here.call("tm", "monitor", SYSTEM_ID, stdin=calls.encoded(calls.text("DS_DRIVER_ACTION_DATA", data)))
    assert warned.returncode == 0 and warned.stdout.startswith("USED_MB=") and "WARN: monitord accepts encrypted" in warned.stderr


def test_only_a_disk_in_the_vms_own_folder_is_touched(here: Drivers, tmp_path: Path) -> None:
    vm(here, "one-0")
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for place in (
        str(victim), f"{tmp_path}/datastores/{SYSTEM_ID}/8/disk.0", f"{tmp_path}/datastores/{SYSTEM_ID}/7/../../../victim",
        f"{tmp_path}/datastores/{SYSTEM_ID}/7/disk.0/../disk.0",
    ):
        refused(here.tm("resize.ssh", f"{HOST}:{place}", 3, 7, DATASTORE_ID), "not a disk in the folder of VM 7")
    assert victim.read_text() == "precious"
