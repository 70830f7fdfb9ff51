"""A hostile world: pools that vanish, clusters that are full or silent, images another client holds. A clear error, or done."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import driver_calls as calls
import pytest
import rbd
from driver_calls import (
    DATASTORE_ID,
    MIB,
    SYSTEM_ID,
    Done,
    Drivers,
    Tree,
    contents,
    datastore,
    digest,
    image,
    refused,
    succeeded,
)

from sandbox.bed import Bed
from sandbox.ceph.cluster import command, connect
from sandbox.layout import Site
from sandbox.waiting import until

LIMIT_S = 95


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "data"
    calls.random_file(path, 8 * MIB)
    return path


def know(here: Drivers, store: Tree) -> None:
    here.api.datastores[DATASTORE_ID] = store
    here.api.datastores[SYSTEM_ID] = {**store, "ID": SYSTEM_ID, "NAME": "system"}


def vm(here: Drivers, number: int, pool: str = "one", **more: str) -> None:
    usual = {"CEPH_USER": "oneadmin", "CEPH_CONF": str(here.site.ceph_conf), "POOL_NAME": pool, "DISK_ID": "0"}
    found = {"SOURCE": f"{pool}/one-{number}", "CLONE": "YES", "SIZE": "8", "ORIGINAL_SIZE": "8", **more}
    here.api.vms[number] = {"ID": number, "NAME": "v", "TEMPLATE": {"DISK": {**usual, **found}}, "USER_TEMPLATE": {}}


def disk(number: int) -> str:
    return f"localhost:/var/lib/one/datastores/{SYSTEM_ID}/{number}/disk.0"


def at_once(*actions: Callable[[], Done]) -> list[Done]:
    with ThreadPoolExecutor(len(actions)) as pool:
        return [running.result() for running in [pool.submit(action) for action in actions]]


def every_action(here: Drivers, number: int, store: Tree, data: Path) -> dict[str, Done]:
    """Each action on image `number` and on disk 0 of VM `number`, by name."""
    pool = store["TEMPLATE"]["POOL_NAME"]
    source = f"{pool}/one-{number}"
    known = image(number, str(data), SOURCE=source, TARGET_SNAPSHOT=0)
    vm(here, number, pool)
    know(here, store)
    of_images = {name: here.ds(name, known, store) for name in ("cp", "mkfs", "rm", "snap_delete", "snap_revert", "snap_flatten")}
    of_images["ds-clone"] = here.ds("clone", image(number, source), store)
    of_images["ds-monitor"] = here.call("datastore", "monitor", DATASTORE_ID, stdin=calls.stdin_of(None, store))
    at, ds = disk(number), DATASTORE_ID
    arguments = {
        "clone": (f"front:{source}", at, number, ds), "ln": (f"front:{source}", at, number, ds), "delete": (at, number, ds),
        "cpds": (at, f"{pool}/one-{number + 1}", -1, number, ds), "mkimage": (8, "raw", at, number, SYSTEM_ID),
        "resize": (at, 16, number, ds), "snap_create": (at, 1, number, ds), "snap_delete": (at, 1, number, ds),
        "snap_revert": (at, 1, number, ds),
    }
    return {**of_images, **{f"tm-{name}": here.tm(name, *argv) for name, argv in arguments.items()}}


def test_a_pool_that_vanished_or_never_was(here: Drivers, site: Site, data: Path) -> None:
    with connect(site) as cluster:
        command(cluster, prefix="osd pool create", pool="brief", pg_num=1)
        command(cluster, prefix="osd pool application enable", pool="brief", app="rbd")
        store = datastore(site, POOL_NAME="brief")
        succeeded(here.ds("cp", image(10, str(data)), store), "brief/one-10 raw\n")
        for monitors in ("true", "false"):
            command(cluster, prefix="config set", who="mon", name="mon_allow_pool_delete", value=monitors)
            if monitors == "true":
                command(cluster, prefix="osd pool delete", pool="brief", pool2="brief", yes_i_really_really_mean_it=True)
    before = contents(site)
    for pool in ("brief", "never"):
        for name, done in every_action(here, 10, datastore(site, POOL_NAME=pool, DR_PROTECT="YES"), data).items():
            assert done.returncode == 1, name
            refused(done, "no pool", pool)
    assert contents(site) == before


@contextmanager
def full(site: Site) -> Iterator[None]:
    """The cluster refuses writes, as one whose disks are full."""
    def flags() -> str:
        with connect(site) as cluster:
            return str(command(cluster, prefix="health", detail="detail"))

    def ratios(*values: float) -> None:
        with connect(site) as cluster:
            for name, value in zip(("full", "backfillfull", "nearfull"), values):
                command(cluster, prefix=f"osd set-{name}-ratio", ratio=value)

    ratios(0.00002, 0.00001, 0.00001)
    try:
        until("the cluster to be full", lambda: "OSD_FULL" in flags() or "POOL_FULL" in flags(), 60, 0.5)
        yield
    finally:
        ratios(0.95, 0.9, 0.85)
        until("the cluster to take writes", lambda: "OSD_FULL" not in flags() and "POOL_FULL" not in flags(), 60, 0.5)


def test_a_full_cluster(here: Drivers, site: Site, data: Path) -> None:
    store = datastore(site)
    know(here, store)
    vm(here, 20)
    vm(here, 21)
    succeeded(here.ds("cp", image(20, str(data)), store), "one/one-20 raw\n")
    succeeded(here.ds("cp", image(21, str(data)), store), "one/one-21 raw\n")
    succeeded(here.tm("clone", "front:one/one-20", disk(20), 20, DATASTORE_ID))
    before = contents(site)
    with full(site):
        for done in (
            here.ds("cp", image(22, str(data)), store), here.ds("mkfs", image(23), store),
            here.tm("clone", "front:one/one-21", disk(21), 21, DATASTORE_ID),
        ):
            refused(done, "Ceph pool one is full")
        assert contents(site) == before
        for action, argument in (("snap_create", 1), ("resize", 16)):  # they take next to nothing
            done = here.tm(action, disk(20), argument, 20, DATASTORE_ID)
            if done.returncode:
                refused(done)
        succeeded(here.tm("delete", disk(20), 20, DATASTORE_ID))
        succeeded(here.ds("rm", image(20, SOURCE="one/one-20"), store))
        assert set(contents(site)[0]) == set(before[0]) - {"one-20", "one-20-20-0"}
    assert digest(site, "one-21") == calls.sha256(data.read_bytes())


@pytest.mark.long
def test_an_image_another_client_holds(here: Drivers, site: Site, data: Path) -> None:
    store = datastore(site)
    know(here, store)
    vm(here, 30)
    succeeded(here.ds("cp", image(30, str(data)), store), "one/one-30 raw\n")
    succeeded(here.tm("clone", "front:one/one-30", disk(30), 30, DATASTORE_ID))
    succeeded(here.tm("snap_create", disk(30), 0, 30, DATASTORE_ID))
    with calls.opened(site) as io, rbd.Image(io, "one-30-30-0") as held:
        held.write(b"guest" * 100, 0)  # takes the lock and keeps it, as a guest's qemu does
        before = held.read(0, 4096)
        delete, revert = at_once(
            lambda: here.tm("delete", disk(30), 30, DATASTORE_ID), lambda: here.tm("snap_revert", disk(30), 0, 30, DATASTORE_ID)
        )
        refused(delete, "one-30-30-0", "in use")
        refused(revert, "one-30-30-0", "in use")
        assert held.read(0, 4096) == before
        for action, argument in (("resize", 16), ("snap_delete", 0), ("snap_create", 5)):
            done = here.tm(action, disk(30), argument, 30, DATASTORE_ID)
            if done.returncode:
                refused(done)
        refused(here.ds("rm", image(30, SOURCE="one/one-30"), store), "one-30-30-0")
        assert "one-30-30-0" in contents(site)[0]
    until("the disk to be deleted", lambda: here.tm("delete", disk(30), 30, DATASTORE_ID).returncode == 0, LIMIT_S)
    succeeded(here.ds("rm", image(30, SOURCE="one/one-30"), store))
    assert not [name for name in contents(site)[0] if name.startswith("one-30")]


def test_a_cluster_that_does_not_answer(here: Drivers, site: Site, ceph_bed: Bed, data: Path) -> None:
    store = datastore(site)
    know(here, store)
    vm(here, 40)
    before = contents(site)
    ceph_bed.freeze(site.name)
    try:
        for done in at_once(  # each ends within driver_calls' limit
            lambda: here.ds("cp", image(40, str(data)), store),
            lambda: here.tm("clone", "front:one/one-40", disk(40), 40, DATASTORE_ID),
            lambda: here.call("datastore", "monitor", DATASTORE_ID, stdin=calls.stdin_of(None, store)),
        ):
            refused(done, "Cannot reach Ceph", "Check ceph -s")
    finally:
        ceph_bed.thaw(site.name)
    assert contents(site) == before
    succeeded(here.ds("cp", image(40, str(data)), store), "one/one-40 raw\n")
