"""Snapshots and growth of disks and images as oned asks for them, on two real clusters with a canned front-end."""
from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import driver_calls as calls
import pytest
import rbd
from driver_calls import (
    DATASTORE_ID,
    MIB,
    SYSTEM_ID,
    Drivers,
    contents,
    datastore,
    digest,
    facts,
    image,
    refused,
    succeeded,
)

from onedr.ceph import connection
from onedr.model.types import CephAccess, Settings
from onedr.replication.mirror_image import begin_mirroring
from sandbox.bed import Bed
from sandbox.layout import Site
from sandbox.waiting import until

VM = 7
MODES = ["JOURNAL", "SNAPSHOT"]
both_modes = pytest.mark.parametrize("mode", MODES)
Contents = dict[str, "str | None"]


@pytest.fixture(scope="module")
def here(ceph_bed: Bed) -> Iterator[Drivers]:
    with calls.no_keeper(*ceph_bed.sites.values()), calls.front_end(ceph_bed) as api:
        made = Drivers(ceph_bed, "site-a", api)
        api.datastores[SYSTEM_ID] = {**datastore(made.site), "ID": SYSTEM_ID, "NAME": "system"}
        yield made


def make(here: Drivers, number: int, mode: str = "", size: int = 24) -> str:
    """A mirrored image (unless `mode` is empty) that is disk 0 of the VM: full objects, a half one, and some never written."""
    protected = {"DR_PROTECT": "YES", "DR_MODE": mode} if mode else {}
    attributes = datastore(here.site, **protected)
    here.api.datastores[DATASTORE_ID] = attributes
    succeeded(here.ds("mkfs", image(number, size=size), attributes), f"one/one-{number}\n")
    name = f"one-{number}"
    know(here, name)
    put(here.site, name, (0, 4 * MIB), (4 * MIB, 2 * MIB), (12 * MIB, 4 * MIB))
    return name


def know(here: Drivers, name: str, **more: str) -> None:
    """Tell the front-end of a VM with this persistent disk."""
    access = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(here.site.ceph_conf), "POOL_NAME": "one"}
    disk = {"DISK_ID": "0", "SOURCE": f"one/{name}", "CLONE": "NO", "TYPE": "RBD", **access, **more}
    here.api.vms[VM] = {"ID": VM, "NAME": "vm", "LCM_STATE": "0", "TEMPLATE": {"DISK": [disk]}, "USER_TEMPLATE": {}}


def put(site: Site, name: str, *places: tuple[int, int]) -> None:
    """Write bytes that do not repeat at (offset, length)."""
    for offset, length in places:
        calls.write(site, name, os.urandom(length), offset)


def churn(site: Site, name: str) -> None:
    """Overwrite a part, fill up a half object, write where nothing was."""
    put(site, name, (MIB, MIB), (6 * MIB, 2 * MIB), (8 * MIB, 3 * MIB))


def place() -> str:
    return f"localhost:/var/lib/one/datastores/{SYSTEM_ID}/{VM}/disk.0"


def tm(here: Drivers, action: str, snapshot: object, **more: Any) -> calls.Done:
    return here.call("tm", action, place(), snapshot, VM, DATASTORE_ID, **more)


def mirrored(here: Drivers, there: Site, name: str) -> None:
    """What the keeper does, which is out of the way here: mirror a clone once its parent's snapshot is at the peer."""
    _, base, snapshot = facts(here.site, name)["parent"]
    until(f"{base}@{snapshot} at the peer", lambda: snapshot in content(there, base), 60, 0.2)
    with connection.connect(CephAccess("one", "oneadmin", str(here.site.ceph_conf))) as pool:
        assert begin_mirroring(pool, name, Settings(protect=True), wait_for_base=False) is None


def succeeded_or_warned(done: calls.Done) -> None:
    assert (done.returncode, done.stdout) == (0, "")
    assert all(line.startswith("WARN: ") for line in done.stderr.splitlines())


def ds(here: Drivers, action: str, name: str, snapshot: int) -> calls.Done:
    wanted = image(int(name.split("-")[1]), SOURCE=f"one/{name}", TARGET_SNAPSHOT=snapshot)
    return here.ds(action, wanted, here.api.datastores[DATASTORE_ID])


def content(site: Site, name: str) -> Contents:
    """Digests of an image now (key `now`) and at each of its snapshots; empty when there is no such image."""
    try:
        listed = [snapshot for snapshot, _ in facts(site, name)["snapshots"] if not snapshot.startswith(".")]
    except rbd.ImageNotFound:
        return {}
    return {"now": digest(site, name), **{snapshot: digest(site, name, snapshot) for snapshot in listed}}


def equal_there(site: Site, there: Site, name: str) -> Contents:
    """Wait until the peer's copy is equal now and at every snapshot; returns the digests."""
    wanted = content(site, name)
    until(f"{name} at {there.name} to be {wanted}", lambda: content(there, name) == wanted, 60, 0.2)
    return wanted


def identity(site: Site, name: str) -> tuple[str, str]:
    """RBD id and mirroring id: what must not change."""
    with calls.opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        return str(found.id()), str(found.mirror_image_get_info()["global_id"])


@both_modes
def test_a_tree_of_snapshots_lives_on_the_one_mirrored_image(here: Drivers, site: Site, there: Site, mode: str) -> None:
    name = make(here, 200, mode) if mode == "JOURNAL" else make(here, 201, mode)
    before, names = identity(site, name), contents(site)
    at: Contents = {}
    for number in (0, 1):
        succeeded(tm(here, "snap_create", number))
        at[str(number)] = digest(site, name)
        churn(site, name)
    # A first copy that is still under way has a snapshot of its own.
    users = [found for found in facts(site, name)["snapshots"] if not found[0].startswith(".rbd-mirror")]
    assert users[-2:] == [("0", True), ("1", True)]
    here.rbd("resize", "--size", "32", f"one/{name}")
    put(site, name, (25 * MIB, 6 * MIB))
    succeeded(tm(here, "snap_create", 2))
    at["2"] = digest(site, name)
    assert equal_there(site, there, name) == {"now": at["2"], **at}
    for kept in ("0", "2", "1"):  # smaller, larger again, and to one in between
        succeeded(tm(here, "snap_revert", kept))
        assert equal_there(site, there, name) == {"now": at[kept], **at}
        put(site, name, (17 * MIB, MIB))
    succeeded(tm(here, "snap_create", 3))  # a branch
    at["3"] = digest(site, name)
    succeeded(ds(here, "snap_revert", name, 2))
    succeeded(ds(here, "snap_delete", name, 1))
    succeeded(tm(here, "snap_delete", 0))
    succeeded(tm(here, "snap_delete", 0))  # gone already
    assert equal_there(site, there, name) == {"now": at["2"], "2": at["2"], "3": at["3"]}
    succeeded(ds(here, "snap_flatten", name, 3))
    assert equal_there(site, there, name) == {"now": at["3"]}
    succeeded(ds(here, "snap_flatten", name, 3))  # the answer of the first had been lost
    assert (identity(site, name), contents(site)) == (before, names)
    here.rbd("rm", f"one/{name}")
    calls.vanishes(there, name)


def test_reverting_replaces_what_was_discarded_and_discards_what_was_written(here: Drivers, site: Site, there: Site) -> None:
    name = make(here, 202, "JOURNAL")
    succeeded(tm(here, "snap_create", 0))
    wanted = digest(site, name)
    with calls.opened(site) as io, rbd.Image(io, name) as found:
        found.discard(0, 5 * MIB)
        found.discard(14 * MIB, MIB)
    put(site, name, (20 * MIB, MIB))
    succeeded(tm(here, "snap_revert", 0))
    assert equal_there(site, there, name) == {"now": wanted, "0": wanted}
    here.rbd("snap", "unprotect", f"one/{name}@0")
    here.rbd("snap", "rm", f"one/{name}@0")


def test_a_clone_goes_back_through_its_parent(here: Drivers, site: Site, there: Site) -> None:
    base = make(here, 203, "JOURNAL")
    know(here, base, CLONE="YES", SIZE="24", ORIGINAL_SIZE="24")
    succeeded_or_warned(here.tm("clone", f"front:one/{base}", place(), VM, DATASTORE_ID))
    name = f"{base}-{VM}-0"
    mirrored(here, there, name)
    for number in (0, 1):
        succeeded(tm(here, "snap_create", number))
        churn(site, name)
    at = content(site, name)
    assert at["0"] == digest(site, base)
    succeeded(tm(here, "snap_revert", 0))
    assert equal_there(site, there, name) == {**at, "now": at["0"]}
    assert facts(there, name)["parent"] == ("one", base, "snap")
    with calls.opened(site) as io, rbd.Image(io, name) as found:
        found.flatten()
    succeeded(tm(here, "snap_revert", 1))  # whose snapshots had read through the parent until then
    assert equal_there(site, there, name) == {**at, "now": at["1"]}
    succeeded(here.tm("delete", place(), VM, DATASTORE_ID))
    calls.vanishes(there, name)
    assert name not in contents(site)[0]


def test_snapshots_of_others_stay(here: Drivers, site: Site) -> None:
    name = make(here, 204)
    for snapshot in ("snap", "one_backup_4"):
        here.rbd("snap", "create", f"one/{name}@{snapshot}")
    succeeded(tm(here, "snap_create", 4))
    here.rbd("--rbd-default-clone-format", "1", "clone", f"one/{name}@4", "one/somebodys")
    before = content(site, name)
    refused(tm(here, "snap_delete", 4), f"one/{name}@4 is not removed", "one/somebodys is a clone of it")
    refused(tm(here, "snap_create", 4), f"one/{name} already has a snapshot 4 that clones use")
    for wrong in ("snap", "one_backup_4", "-1", "4 5", ""):
        refused(tm(here, "snap_delete", wrong), "SNAP_ID")
    assert content(site, name) == before
    here.rbd("rm", "one/somebodys")
    succeeded(ds(here, "snap_flatten", name, 4))
    assert set(content(site, name)) == {"now", "snap", "one_backup_4"}


def test_a_killed_run_is_finished_by_the_same_call_again(here: Drivers, site: Site) -> None:
    name = make(here, 205)
    here.rbd("snap", "create", f"one/{name}@0")  # killed before it was protected; the guest wrote on
    churn(site, name)
    now = digest(site, name)
    succeeded(tm(here, "snap_create", 0))
    assert facts(site, name)["snapshots"] == [("0", True)]
    assert content(site, name) == {"now": now, "0": now}
    here.rbd("snap", "unprotect", f"one/{name}@0")  # killed in the midst of its removal
    succeeded(tm(here, "snap_delete", 0))
    assert facts(site, name)["snapshots"] == []
    for number in (1, 2):
        succeeded(tm(here, "snap_create", number))
        churn(site, name)
    at = content(site, name)
    succeeded(ds(here, "snap_flatten", name, 1))
    assert content(site, name) == {"now": at["1"]}
    succeeded(ds(here, "snap_flatten", name, 1))  # killed before its answer
    refused(ds(here, "snap_flatten", name, 2), f"one/{name} has no snapshot 2")
    refused(ds(here, "snap_revert", name, 1), f"one/{name} has no snapshot 1")
    assert content(site, name) == {"now": at["1"]}


@pytest.mark.long
def test_a_revert_killed_midway_ends_well_and_none_begins_under_a_writer(here: Drivers, site: Site, there: Site) -> None:
    killed, busy = make(here, 206, "SNAPSHOT", size=64), make(here, 207)
    for name in (killed, busy):
        know(here, name)
        succeeded(tm(here, "snap_create", 0))
    wanted = digest(site, killed, "0")
    with calls.opened(site) as io, rbd.Image(io, killed) as found:
        for offset in range(0, 64 * MIB, 64 * 1024):  # every block differs: the revert takes a while
            found.write(b"later" * 100, offset)
    know(here, killed)
    before = digest(site, killed)
    with here.popen("tm", "snap_revert", place(), 0, VM, DATASTORE_ID) as process:
        until("the revert to begin", lambda: digest(site, killed) != before, 30, 0.01)
        process.send_signal(signal.SIGKILL)
    here.api.asked.clear()
    again = here.popen("tm", "snap_revert", place(), 0, VM, DATASTORE_ID)  # waits until Ceph gives the dead one up
    until("the second to ask for its disk", lambda: here.api.asked == [VM], 30)
    with calls.opened(site) as io, rbd.Image(io, busy) as writer:
        know(here, busy)
        writer.write(b"x", 0)  # a guest that oned does not know of
        refused(tm(here, "snap_revert", 0), f"one/{busy} is still in use", "is a VM using it?")
    with again:
        assert again.wait(60) == 0
    assert equal_there(site, there, killed) == {"now": wanted, "0": wanted}


@contextmanager
def writer(site: Site, name: str) -> Iterator[None]:
    """A client that holds the image and never stops writing; it must not be disturbed."""
    stop = threading.Event()

    def work() -> int:
        count = 0
        with calls.opened(site) as io, rbd.Image(io, name) as found:
            while not stop.is_set():
                count += 1
                found.write(b"%08d" % count * 512, count * 4096 % (16 * MIB))
        return count

    with ThreadPoolExecutor(1) as threads:
        written = threads.submit(work)
        try:
            yield
        finally:
            stop.set()
        assert written.result() > 0


@both_modes
def test_a_snapshot_under_a_writer_is_the_same_at_the_peer(here: Drivers, site: Site, there: Site, mode: str) -> None:
    name = make(here, 220 + MODES.index(mode), mode)
    with writer(site, name):
        for number in range(3):
            succeeded(tm(here, "snap_create", number))
    succeeded(tm(here, "snap_create", 3))
    assert len(set(equal_there(site, there, name).values())) == 4  # the last is as it is now


def stock_tree(here: Drivers, site: Site, number: int) -> tuple[str, str, Contents]:
    """An image and its old snapshots as three reverts by the stock driver leave them: (image, old volume, digests).

    Old volume: @1 @2 @3. The image is a clone of @2 and has @4.
    """
    name, old = f"one-{number}", f"one-{number}-1:2:3"
    make(here, number)
    at: Contents = {}
    for snapshot in "123":
        here.rbd("snap", "create", f"one/{name}@{snapshot}")
        here.rbd("snap", "protect", f"one/{name}@{snapshot}")
        at[snapshot] = digest(site, name)
        churn(site, name)
    here.rbd("rename", f"one/{name}", f"one/{old}")
    here.rbd("clone", f"one/{old}@2", f"one/{name}")
    put(site, name, (9 * MIB, MIB))
    here.rbd("snap", "create", f"one/{name}@4")
    here.rbd("snap", "protect", f"one/{name}@4")
    at["4"] = digest(site, name)
    put(site, name, (21 * MIB, MIB))
    return name, old, at


def protect(here: Drivers, mode: str) -> None:
    here.api.datastores[DATASTORE_ID] = datastore(here.site, DR_PROTECT="YES", DR_MODE=mode)


def test_old_volumes_of_the_stock_driver_are_served_and_mirrored(here: Drivers, site: Site, there: Site) -> None:
    name, old, at = stock_tree(here, site, 210)
    protect(here, "JOURNAL")
    know(here, name)
    here.rbd("create", "--size", "8", f"one/{name}-9")  # a name that lies
    succeeded_or_warned(tm(here, "snap_create", 5))
    mirrored(here, there, name)
    assert calls.mode_of(site, old) == calls.mode_of(site, name) == rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL
    before = identity(site, name)
    at["5"] = digest(site, name)
    for snapshot in "315":
        succeeded(tm(here, "snap_revert", snapshot))
        assert equal_there(site, there, name)["now"] == at[snapshot]
    assert equal_there(site, there, old) == {"now": digest(site, old), "1": at["1"], "2": at["2"], "3": at["3"]}
    refused(tm(here, "snap_revert", 9), f"one/{name} has no snapshot 9")
    succeeded(tm(here, "snap_delete", 2))  # the image was a clone of it
    assert facts(site, name)["parent"] is None
    succeeded(tm(here, "snap_delete", 1))
    assert set(content(site, old)) == {"now", "3"}
    succeeded(tm(here, "snap_delete", 3))  # the last
    assert old not in contents(site)[0]
    assert equal_there(site, there, name) == {"now": at["5"], "4": at["4"], "5": at["5"]}
    calls.vanishes(there, old)
    assert identity(site, name) == before
    assert f"{name}-9" in contents(site)[0]
    here.rbd("rm", f"one/{name}-9")


@both_modes
def test_flattening_ends_the_stock_drivers_tree(here: Drivers, site: Site, there: Site, mode: str) -> None:
    name, old, at = stock_tree(here, site, 211 + MODES.index(mode))
    protect(here, mode)
    done = ds(here, "snap_flatten", name, 3)
    assert (done.returncode, done.stdout) == (0, "")
    assert content(site, name) == {"now": at["3"]}
    assert facts(site, name)["parent"] is None
    assert old not in contents(site)[0]
    assert equal_there(site, there, name) == {"now": at["3"]}
    calls.vanishes(there, old)


@pytest.mark.parametrize("trash", ["NO", "YES"])
def test_removing_an_image_removes_its_old_volumes(here: Drivers, site: Site, trash: str) -> None:
    name, _, _ = stock_tree(here, site, 213 + ["NO", "YES"].index(trash))
    wanted = image(int(name.split("-")[1]), SOURCE=f"one/{name}")
    succeeded(here.ds("rm", wanted, datastore(site, CEPH_TRASH=trash)))
    assert not [each for each in contents(site)[0] if each.startswith(name)]
    assert [each for each in contents(site)[1] if each.startswith(name)] == ([name] if trash == "YES" else [])
    refused(here.ds("snap_delete", {**wanted, "TARGET_SNAPSHOT": 3}, datastore(site)), f"one/{name} does not exist")


@both_modes
def test_resize_grows_at_both_sites_and_never_shrinks(here: Drivers, site: Site, there: Site, mode: str) -> None:
    name = make(here, 215 + MODES.index(mode), mode)
    before = identity(site, name)
    for size in (40, 40, 24):
        succeeded(here.tm("resize", place(), size, VM, DATASTORE_ID))
        assert facts(site, name)["size"] == 40 * MIB
    put(site, name, (38 * MIB, MIB))
    here.api.vms[VM]["LCM_STATE"] = "62"  # it runs: libvirt grows its disk
    succeeded(here.tm("resize", place(), 48, VM, DATASTORE_ID))
    assert facts(site, name)["size"] == 40 * MIB
    succeeded(tm(here, "snap_create", 0))
    assert equal_there(site, there, name) == {"now": digest(site, name), "0": digest(site, name)}
    assert identity(site, name) == before


def fake(folder: Path, program: str, *lines: str) -> None:
    """A program that writes down how it was called, then does `lines`."""
    path = folder / program
    path.write_text("\n".join(["#!/bin/sh", f'echo "{program} $*" >>{folder}/called', *lines, ""]))
    path.chmod(0o755)


def test_a_live_snapshot_freezes_the_guest_and_always_thaws_it(here: Drivers, site: Site, tmp_path: Path) -> None:
    name = make(here, 217)
    here.api.vms[VM]["DEPLOY_ID"] = "one-7"
    settings = site.one_location / "var/remotes/etc/vmm/kvm"
    settings.mkdir(parents=True)
    (settings / "kvmrc").write_text("export LIBVIRT_URI=qemu:///test\nexport VIRSH_TIMEOUT=7\n")
    path = f"{tmp_path}:{os.environ['PATH']}"
    called = tmp_path / "called"
    count = f"rbd --id oneadmin --conf {site.ceph_conf} snap ls one/{name} | wc -l >>{called}"
    fake(tmp_path, "virsh", count)
    succeeded(tm(here, "snap_create_live", 0, PATH=path))
    frozen, thawed = (f"virsh -c qemu:///test domfs{verb} --domain one-7" for verb in ("freeze", "thaw"))
    assert called.read_text().split("\n") == [frozen, "0", thawed, "2", ""]  # the snapshot was made in between
    called.unlink()
    fake(tmp_path, "virsh", "exit 1")
    done = tm(here, "snap_create_live", 1, PATH=path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("WARN: domfsfreeze of one-7 on localhost failed") and done.stderr.count("\n") == 1
    assert called.read_text().split("\n") == [frozen, thawed, ""]
    called.unlink()
    here.api.vms[VM]["HISTORY_RECORDS"] = {"HISTORY": [{"VM_MAD": "kvm"}, {"VM_MAD": "lxc"}]}
    fake(tmp_path, "sudo")
    succeeded(tm(here, "snap_create_live", 2, PATH=path))
    assert called.read_text() == "sudo lxc-freeze -n one-7\nsudo lxc-unfreeze -n one-7\n"
    fake(tmp_path, "sudo", "exit 1")
    refused(tm(here, "snap_create_live", 3, PATH=path), "sudo failed")
    assert [snapshot for snapshot, _ in facts(site, name)["snapshots"]] == ["0", "1", "2"]


def test_without_libvirt_a_live_snapshot_is_made_all_the_same(here: Drivers, site: Site, tmp_path: Path) -> None:
    name = make(here, 218)
    done = tm(here, "snap_create_live", 0)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("WARN: ") and done.stderr.count("\n") == 1
    assert facts(site, name)["snapshots"] == [("0", True)]


def test_the_peers_copy_and_other_disks_are_refused(here: Drivers, site: Site, there: Site, ceph_bed: Bed) -> None:
    name = make(here, 219, "JOURNAL")
    succeeded(tm(here, "snap_create", 0))
    before = equal_there(site, there, name)
    yonder = Drivers(ceph_bed, "site-b", here.api)
    here.api.datastores[DATASTORE_ID] = datastore(there)
    know(yonder, name)
    for action in ("snap_create", "snap_create_live", "snap_delete", "snap_revert"):
        refused(tm(yonder, action, 0), "is the peer's copy here")
    for action in ("snap_delete", "snap_revert", "snap_flatten"):
        refused(ds(yonder, action, name, 0), "is the peer's copy here")
    refused(yonder.tm("resize", place(), 99, VM, DATASTORE_ID), "is the peer's copy here")
    assert content(there, name) == before
    know(here, name, TYPE="RBD_CDROM")
    refused(tm(here, "snap_create", 1), "Disk 0 of VM 7 is of type RBD_CDROM")
    know(here, name, SOURCE="")
    refused(tm(here, "snap_create", 1), "Disk 0 of VM 7 is volatile")
    know(here, "one-999")
    refused(tm(here, "snap_revert", 1), "one/one-999 does not exist")
    here.api.datastores[DATASTORE_ID] = datastore(site)
    know(here, name)
    refused(tm(here, "snap_revert", 1), f"one/{name} has no snapshot 1")
    refused(here.tm("snap_create", place(), 1, VM), "DATASTORE_ID")
    refused(here.tm("resize", place(), "8M", VM, DATASTORE_ID), "SIZE")
    refused(ds(here, "snap_revert", name, 7), f"one/{name} has no snapshot 7")
