"""The transfer-manager actions as oned calls them, on two real clusters with a canned front-end."""
from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import driver_calls as calls
import pytest
import rbd
from driver_calls import (
    MIB,
    SYSTEM_ID,
    Drivers,
    arrives,
    contents,
    datastore,
    digest,
    facts,
    image,
    refused,
    succeeded,
)

from sandbox.bed import Bed
from sandbox.ceph.cluster import command, connect
from sandbox.layout import Site
from sandbox.waiting import until

HOST = "localhost"
JOURNAL = rbd.RBD_MIRROR_IMAGE_MODE_JOURNAL


@pytest.fixture(scope="module")
def here(ceph_bed: Bed) -> Iterator[Drivers]:
    """Drivers at site-a with a canned front-end; pool `one-data` for data."""
    with calls.no_keeper(*ceph_bed.sites.values()), calls.front_end(ceph_bed) as api:
        with connect(ceph_bed.sites["site-a"]) as cluster:
            command(cluster, prefix="osd pool create", pool="one-data", pg_num=4)
            command(cluster, prefix="osd pool application enable", pool="one-data", app="rbd")
        yield Drivers(ceph_bed, "site-a", api)


@pytest.fixture(autouse=True)
def front_end(here: Drivers) -> Iterator[None]:
    """Each test begins with unprotected datastores and no VM."""
    know(here)
    yield
    here.api.vms.clear()


def know(here: Drivers, system: dict[str, str] | None = None, **attributes: str) -> None:
    """Tell the front-end what the image datastore (and the system datastore) say."""
    here.api.datastores[calls.DATASTORE_ID] = datastore(here.site, **attributes)
    here.api.datastores[SYSTEM_ID] = {
        **datastore(here.site, **(system or {})),
        "ID": SYSTEM_ID,
        "NAME": "system",
    }


def vm(here: Drivers, vm_id: int, *disks: dict[str, str]) -> None:
    """A VM with these disks, number 0 and on."""
    usual = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(here.site.ceph_conf), "POOL_NAME": "one"}
    numbered = [{"DISK_ID": str(number), **usual, **disk} for number, disk in enumerate(disks)]
    here.api.vms[vm_id] = {
        "ID": vm_id,
        "NAME": f"vm {vm_id}",
        "TEMPLATE": {"DISK": numbered},
        "USER_TEMPLATE": {},
    }


def of(name: str, **more: str) -> dict[str, str]:
    """A disk that is a clone of the image, of 8 MiB."""
    return {"SOURCE": f"one/{name}", "CLONE": "YES", "SIZE": "8", "ORIGINAL_SIZE": "8", **more}


def disk(vm_id: int, disk_id: int = 0) -> str:
    return f"{HOST}:/var/lib/one/datastores/{SYSTEM_ID}/{vm_id}/disk.{disk_id}"


def clone(here: Drivers, name: str, vm_id: int, disk_id: int = 0) -> calls.Done:
    return here.tm("clone", f"front:one/{name}", disk(vm_id, disk_id), vm_id, calls.DATASTORE_ID)


def base(here: Drivers, tmp_path: Path, number: int, **attributes: str) -> str:
    """An image of 8 MiB by cp, the data of each is its own; returns its name."""
    calls.random_file(tmp_path / "base", 8 * MIB, seed=number)
    made = here.ds("cp", image(number, str(tmp_path / "base")), datastore(here.site, **attributes))
    succeeded(made, f"one/one-{number} raw\n")
    return f"one-{number}"


def test_clone_makes_what_the_stock_script_makes(here: Drivers, site: Site, tmp_path: Path) -> None:
    for number, extra, size in ((100, {}, "8"), (101, {"EC_POOL_NAME": "one-data"}, "12")):
        name = base(here, tmp_path, number)
        know(here, system=extra)
        vm(here, 7, {}, of(name, SIZE=size))
        succeeded(clone(here, name, 7, 1))
        here.rbd("import", "--image-format", "2", str(tmp_path / "base"), f"one/stock-{number}")
        here.rbd("snap", "create", f"one/stock-{number}@snap")
        here.rbd("snap", "protect", f"one/stock-{number}@snap")
        pool = ["--data-pool", "one-data"] if extra else []
        here.rbd(*pool, "clone", f"one/stock-{number}@snap", f"one/stock-{number}-7-1")
        if size != "8":
            here.rbd("resize", f"one/stock-{number}-7-1", "--size", size)
        assert facts(site, name) == facts(site, f"stock-{number}")
        ours, stock = facts(site, f"{name}-7-1"), facts(site, f"stock-{number}-7-1")
        assert ours["parent"] == ("one", name, "snap")
        assert {**ours, "parent": None} == {**stock, "parent": None}
        assert digest(site, f"{name}-7-1") == digest(site, f"stock-{number}-7-1")


def test_clone_again_finds_its_own_disk_and_no_other(here: Drivers, site: Site, tmp_path: Path) -> None:
    name = base(here, tmp_path, 102)
    vm(here, 7, of(name), of(name))
    succeeded(clone(here, name, 7))
    calls.write(site, f"{name}-7-0", b"x" * 512, 0)
    here.rbd("create", "--size", "8", f"one/{name}-7-1")
    state = (contents(site), digest(site, f"{name}-7-0"), facts(site, f"{name}-7-1"))
    succeeded(clone(here, name, 7))
    refused(
        clone(here, name, 7, 1), f"one/{name}-7-1 already exists", "an owner unknown to OneDR", "untouched"
    )
    assert (contents(site), digest(site, f"{name}-7-0"), facts(site, f"{name}-7-1")) == state


def test_a_clone_is_mirrored_after_its_parent_and_stays_equal(
    here: Drivers, site: Site, there: Site, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 103)  # made before its datastore was protected
    assert calls.mode_of(site, name) is None
    know(here, DR_PROTECT="YES")
    vm(here, 7, of(name))
    succeeded(clone(here, name, 7))
    calls.admitted(site, f"{name}-7-0")
    assert calls.mode_of(site, name) == calls.mode_of(site, f"{name}-7-0") == JOURNAL
    for each in (name, f"{name}-7-0"):
        arrives(there, each, digest(site, each))
    assert facts(there, f"{name}-7-0")["parent"] == ("one", name, "snap")
    calls.write(site, f"{name}-7-0", os.urandom(4096), 5 * MIB)  # into an object that only the parent has
    arrives(there, f"{name}-7-0", digest(site, f"{name}-7-0"))
    assert facts(there, f"{name}-7-0")["parent"] == ("one", name, "snap")


def test_in_snapshot_mode_a_clone_waits_to_be_flattened(
    here: Drivers, site: Site, there: Site, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 104, DR_PROTECT="YES", DR_MODE="SNAPSHOT")
    know(here, DR_PROTECT="YES", DR_MODE="SNAPSHOT")
    vm(here, 7, of(name))
    done = clone(here, name, 7)
    assert (done.returncode, done.stdout) == (0, "")
    assert (
        done.stderr
        == f"WARN: {name}-7-0 is not protected yet: waits to be flattened from its parent one/{name}\n"
    )
    assert calls.mode_of(site, f"{name}-7-0") is None
    arrives(there, name, digest(site, name))
    assert f"{name}-7-0" not in contents(there)[0]


def test_a_slip_in_the_datastore_stops_no_vm(here: Drivers, site: Site, tmp_path: Path) -> None:
    name = base(here, tmp_path, 105)
    know(here, DR_PROTECT="YES", DR_MODE="JURNAL")
    vm(here, 7, of(name))
    done = clone(here, name, 7)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"WARN: {name}-7-0 is not protected yet: Datastore images: DR_MODE")
    succeeded(here.tm("delete", disk(7), 7, calls.DATASTORE_ID))
    assert f"{name}-7-0" not in contents(site)[0]


def test_the_peers_copy_is_no_disk_here(
    here: Drivers, site: Site, there: Site, ceph_bed: Bed, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 106, DR_PROTECT="YES")
    arrives(there, name, digest(site, name))
    yonder = Drivers(ceph_bed, "site-b", here.api)
    vm(yonder, 7, of(name))
    before = contents(there)
    refused(clone(yonder, name, 7), "is the peer's copy here", "must not start")
    refused(yonder.tm("ln", f"front:one/{name}", disk(7), 7, calls.DATASTORE_ID), "is the peer's copy here")
    assert contents(there) == before


def test_ln_drops_the_base_snapshot_only_when_no_disk_needs_it(
    here: Drivers, site: Site, there: Site, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 107)
    vm(here, 7, of(name))
    vm(here, 8, of(name, CLONE="NO"))
    linked = ("ln", f"front:one/{name}", disk(8), 8, calls.DATASTORE_ID)
    succeeded(clone(here, name, 7))
    succeeded(here.tm(*linked))
    assert facts(site, name)["snapshots"] == [("snap", True)]
    here.rbd("rm", f"one/{name}-7-0")
    know(here, DR_PROTECT="YES")
    succeeded(here.tm(*linked))
    assert facts(site, name)["snapshots"] == []
    assert calls.mode_of(site, name) == JOURNAL
    arrives(there, name, digest(site, name))


def test_delete_takes_a_clone_and_its_copy_and_leaves_the_base_mirrored(
    here: Drivers, site: Site, there: Site, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 108, DR_PROTECT="YES")
    know(here, DR_PROTECT="YES")
    for vm_id in (7, 8):
        vm(here, vm_id, of(name))
        succeeded(clone(here, name, vm_id))
        calls.admitted(site, f"{name}-{vm_id}-0")
        arrives(there, f"{name}-{vm_id}-0", digest(site, name))
    succeeded(here.tm("delete", disk(7), 7, calls.DATASTORE_ID))
    calls.vanishes(site, f"{name}-7-0")
    calls.vanishes(there, f"{name}-7-0")
    assert facts(site, name)["snapshots"] == [("snap", True)]
    succeeded(here.tm("delete", disk(8), 8, calls.DATASTORE_ID))
    succeeded(here.tm("delete", disk(8), 8, calls.DATASTORE_ID))  # gone already
    calls.vanishes(there, f"{name}-8-0")
    assert facts(site, name)["snapshots"] == []
    calls.write(site, name, os.urandom(4096), MIB)
    arrives(there, name, digest(site, name))
    until("the snapshot to go at the peer", lambda: facts(there, name)["snapshots"] == [], 30)


def test_delete_leaves_persistent_disks_and_moves_to_the_trash_when_asked(
    here: Drivers, site: Site, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 109)
    vm(here, 7, of(name, CLONE="NO"), of(name, CEPH_TRASH="yes"))
    succeeded(clone(here, name, 7, 1))
    succeeded(here.tm("delete", disk(7, 0), 7, calls.DATASTORE_ID))
    assert name in contents(site)[0]
    succeeded(here.tm("delete", disk(7, 1), 7, calls.DATASTORE_ID))
    assert f"{name}-7-1" not in contents(site)[0]
    assert f"{name}-7-1" in contents(site)[1]
    assert facts(site, name)["snapshots"] == []  # the disk in the trash was flattened


def test_delete_removes_the_folder_of_that_vm_and_of_no_other(
    here: Drivers, site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "datastores" / str(SYSTEM_ID) / "7"
    folder.mkdir(parents=True)
    (folder / "deployment.0").touch()
    here.rbd("create", "--size", "8", "one/one-sys-7-checkpoint")
    for wrong in (folder.parent / "8", folder.parent, tmp_path, folder / ".." / "7", folder / "x"):
        refused(here.tm("delete", f"{HOST}:{wrong}", 7, SYSTEM_ID), "is not the folder of VM 7")
    assert (folder / "deployment.0").exists() and "one-sys-7-checkpoint" in contents(site)[0]
    succeeded(here.tm("delete", f"{HOST}:{folder}", 7, SYSTEM_ID))
    assert not folder.exists() and "one-sys-7-checkpoint" not in contents(site)[0]


def test_cpds_saves_a_disk_or_one_of_its_snapshots(
    here: Drivers, site: Site, there: Site, tmp_path: Path
) -> None:
    name = base(here, tmp_path, 110)
    vm(here, 7, of(name), of(name, CLONE="NO"))
    succeeded(clone(here, name, 7))
    old = digest(site, f"{name}-7-0")
    here.rbd("snap", "create", f"one/{name}-7-0@3")
    calls.write(site, f"{name}-7-0", os.urandom(4096), MIB)
    know(here, EC_POOL_NAME="one-data", DR_PROTECT="YES")
    saved = {"one-111": (0, -1, digest(site, f"{name}-7-0")), "one-112": (0, 3, old), "one-113": (1, -1, old)}
    for target, (disk_id, snapshot, wanted) in saved.items():
        succeeded(here.tm("cpds", disk(7, disk_id), f"one/{target}", snapshot, 7, calls.DATASTORE_ID))
        assert digest(site, target) == wanted
        assert (facts(site, target)["parent"], facts(site, target)["data pool"]) == (None, "one-data")
        assert calls.mode_of(site, target) == JOURNAL
    before = contents(site)
    for target, asked, words in (
        ("one/one-111", -1, "one/one-111 already exists"), ("plain/one-114", -1, "another pool"),
        ("one/one-114", 9, "snapshot"), ("one/one-114", "x", "SNAP_ID"),
    ):
        refused(here.tm("cpds", disk(7), target, asked, 7, calls.DATASTORE_ID), words)
    assert contents(site) == before


@pytest.mark.parametrize("disk_id, format_, kind", [(0, "raw", ""), (1, "swap", "swap"), (2, "raw", "ext4")])
def test_mkimage_makes_a_volatile_disk(
    here: Drivers, site: Site, tmp_path: Path, disk_id: int, format_: str, kind: str
) -> None:
    know(here, system={"EC_POOL_NAME": "one-data"})
    vm(here, 7, {}, {}, {"FS": "ext4"})
    made = ("mkimage", 24, format_, disk(7, disk_id), 7, SYSTEM_ID)
    succeeded(here.tm(*made))
    name = f"one-sys-7-{disk_id}"
    here.rbd("export", f"one/{name}", str(tmp_path / "disk"))
    probed = subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "TYPE", tmp_path / "disk"], capture_output=True, text=True
    )
    assert probed.stdout.strip() == kind
    assert (facts(site, name)["size"], facts(site, name)["data pool"]) == (24 * MIB, "one-data")
    state = digest(site, name)
    succeeded(here.tm(*made))  # recover --retry
    assert digest(site, name) == state
    succeeded(here.tm("delete", disk(7, disk_id), 7, SYSTEM_ID))
    assert name not in contents(site)[0]


def test_mvds_moves_nothing_and_monitor_counts(here: Drivers, site: Site) -> None:
    before = contents(site)
    succeeded(here.tm("mvds", disk(7), "one/one-1", 7, calls.DATASTORE_ID))
    data = calls.stdin_of(None, here.api.datastores[SYSTEM_ID])
    done = here.call("tm", "monitor", SYSTEM_ID, stdin=data)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split("=")[0] for line in done.stdout.splitlines()] == ["USED_MB", "TOTAL_MB", "FREE_MB"]
    assert contents(site) == before


def test_wrong_arguments_are_refused_and_change_nothing(here: Drivers, site: Site, tmp_path: Path) -> None:
    vm(here, 7, of("one-1"))
    before, at, place = contents(site), calls.DATASTORE_ID, disk(7)
    for argv, words in (
        (["clone"], "SOURCE"),
        (["clone", "front:one/one-1", place, 7], "DATASTORE_ID"),
        (["clone", "front:one/one-1", place, "x", at], "VM_ID"),
        (["clone", "front:one/one-1", place, 7, "1;ls"], "number"),
        (["clone", "front:one one", place, 7, at], "pool/image"),
        (["clone", "front:one/one-1", "/disk.0", 7, at], "host:/path"),
        (["clone", "front:one/one-1", f"{HOST}:/x/7", 7, at], "disk.<number>"),
        (["clone", "front:one/one-1", place, 7, at], "does not exist"),
        (["clone", "front:one/one-1", disk(7, 5), 7, at], "VM 7 has no disk 5"),
        (["clone", "front:one/one-1", place, 99, at], "99"),
        (["ln", "front:one/one-1", place, 7, 999], "999"),
        (["ln", "front:one/one-1", place, 7, at], "does not exist"),
        (["delete", "-oProxy=x:/y", 7, at], "host:/path"),
        (["delete", f"{HOST}:/", 7, at], "not the folder"),
        (["cpds", place, "one/one-2", -1, 7], "DATASTORE_ID"),
        (["cpds", place, "one/one-2", -1, 7, at], "not found"),
        (["mkimage", "x", "raw", place, 7, at], "SIZE"),
        (["mvds", place], "TARGET"),
    ):
        refused(here.tm(*argv), words)
    unheard = here.call("tm", "clone", "front:one/one-1", place, 7, at, ONE_XMLRPC="http://127.0.0.1:9/RPC2")
    refused(unheard, "does not answer", "Check that oned is running there")
    assert contents(site) == before
