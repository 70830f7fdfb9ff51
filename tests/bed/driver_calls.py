"""Driver executables called as oned calls them, a canned front-end, and what lies in Ceph afterwards."""
from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen, TimeoutExpired
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

import rados
import rbd

from onedr.ceph import connection as ceph_connection
from onedr.ceph import mirroring
from onedr.model.types import CephAccess, Settings
from onedr.replication import clone_order, mirror_image
from sandbox.bed import Bed
from sandbox.ceph.cluster import connect
from sandbox.layout import POOL, REPO, Site, addresses
from sandbox.network import claimed
from sandbox.waiting import until

MIB = 1 << 20
DATASTORE_ID, SYSTEM_ID = 100, 101
RIGHTS = {f"{who}_{right}": "1" if who == "OWNER" else "0" for who in ("OWNER", "GROUP", "OTHER") for right in "UMA"}
Tree = dict[str, Any]
Done = CompletedProcess[str]


def xml(tag: str, value: Any) -> ET.Element:
    """An element: a dict holds children (a list repeats one), None leaves out."""
    element = ET.Element(tag)
    if not isinstance(value, dict):
        element.text = str(value)
        return element
    for key, inner in value.items():
        element.extend(xml(key, item) for item in (inner if isinstance(inner, list) else [inner]) if item is not None)
    return element


def text(tag: str, value: Any) -> str:
    return ET.tostring(xml(tag, value), encoding="unicode")


def datastore(site: Site, **attributes: str | None) -> Tree:
    own = {"POOL_NAME": POOL, "CEPH_USER": "oneadmin", "CEPH_CONF": str(site.ceph_conf), "BRIDGE_LIST": "127.0.0.1"}
    return {"ID": DATASTORE_ID, "NAME": "images", "TEMPLATE": {**own, **attributes}}


def image(
    image_id: int, path: str = "", size: int | None = None, *, attributes: Tree | None = None, **more: Any
) -> Tree:
    """An `<IMAGE>` as oned hands it to a driver (wire/ds); without `size`, of 8 MiB or what `path` holds."""
    if size is None:
        held = os.path.getsize(path) if path.startswith("/") and os.path.isfile(path) else 0
        size = max(8, -(-held // MIB))
    return {
        "ID": image_id, "UNAME": "oneadmin", "GNAME": "users", "NAME": f"image {image_id}", "PERMISSIONS": RIGHTS,
        "TYPE": 0, "PERSISTENT": 0, "SOURCE": "", "PATH": path, "FORMAT": "", "FS": "", "SIZE": size, "STATE": 4,
        "DATASTORE_ID": DATASTORE_ID, "DATASTORE": "images", "TEMPLATE": attributes or {},
        "SNAPSHOTS": {"ALLOW_ORPHANS": "NO"}, **more,
    }


def stdin_of(image_tree: Tree | None, datastore_tree: Tree | None) -> bytes:
    """Standard input of a datastore action."""
    tree = {key: value for key, value in (("IMAGE", image_tree), ("DATASTORE", datastore_tree)) if value is not None}
    return encoded(text("DS_DRIVER_ACTION_DATA", tree))


def encoded(document: str) -> bytes:
    return base64.b64encode(document.encode()) + b"\n"


class Drivers:
    """The installed executables' sources, run inside one site of a bed."""

    def __init__(self, bed: Bed, site: str, api: FrontEnd):
        self.bed, self.name, self.site, self.api = bed, site, bed.sites[site], api
        auth = self.site.folder / "test_auth"
        auth.write_text("oneadmin:secret\n")
        self._env = {"ONE_XMLRPC": api.url, "ONE_AUTH": str(auth), "PYTHONPATH": str(REPO), "no_proxy": "*"}

    def popen(self, kind: str, action: str, *argv: object, prefix: Sequence[str] = (), **env: str) -> Popen[Any]:
        """Start an executable; `prefix` is a command that runs it, `env` goes over the site's environment."""
        executable = REPO / "drivers" / kind / "ceph_dr" / action
        command = [*prefix, sys.executable, str(executable), *map(str, argv)]
        return self.bed.popen(
            self.name, command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**self._env, **env}, cwd="/"
        )

    def call(self, kind: str, action: str, *argv: object, stdin: bytes = b"", **more: Any) -> Done:
        with self.popen(kind, action, *argv, **more) as process:
            try:
                out, err = process.communicate(stdin, timeout=100)
            except TimeoutExpired:
                process.kill()
                raise
        return CompletedProcess(process.args, process.returncode, out.decode(), err.decode())

    def ds(self, action: str, wanted: Tree, attributes: Tree) -> Done:
        """A datastore action on an image."""
        return self.call("datastore", action, wanted.get("ID", 0), stdin=stdin_of(wanted, attributes))

    def tm(self, action: str, *argv: object) -> Done:
        return self.call("tm", action, *argv)

    def rbd(self, *argv: str) -> str:
        """The `rbd` command, as the stock scripts run it."""
        command = ["rbd", "--id", "oneadmin", "--conf", str(self.site.ceph_conf), *argv]
        return str(self.bed.run(self.name, command, capture_output=True, text=True, check=True).stdout)


def succeeded(done: Done, answer: str = "") -> None:
    said = (done.returncode, done.stdout, done.stderr)
    assert said == (0, answer, ""), said


def refused(done: Done, *words: str) -> None:
    """Exit code 1, nothing on stdout, one plain line on stderr that contains `words`
    (docs/opennebula-facts.md O13).
    """
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.endswith("\n") and done.stderr.count("\n") == 1, done.stderr
    assert not re.match(r"(ERROR|INFO|WARN|DEBUG): |Traceback", done.stderr)
    for word in words:
        assert word in done.stderr, done.stderr


@contextmanager
def opened(site: Site, pool: str = POOL) -> Iterator[rados.Ioctx]:
    with connect(site) as cluster, cluster.open_ioctx(pool) as io:
        yield io


def contents(site: Site, pool: str = POOL) -> tuple[list[str], list[str]]:
    """Names of the images, and of those in the trash."""
    with opened(site, pool) as io:
        return sorted(rbd.RBD().list(io)), sorted(item["name"] for item in rbd.RBD().trash_list(io))


def digest(site: Site, name: str, snapshot: str | None = None) -> str | None:
    """SHA-256 of an image's bytes, now or at a snapshot; None when there is no such image or snapshot."""
    sha = hashlib.sha256()
    with opened(site) as io:
        try:
            with rbd.Image(io, name, snapshot=snapshot, read_only=True) as opened_image:
                size = opened_image.size()
                for offset in range(0, size, 4 * MIB):
                    sha.update(opened_image.read(offset, min(4 * MIB, size - offset)))
        except rbd.ImageNotFound:
            return None
    return sha.hexdigest()


def facts(site: Site, name: str) -> Tree:
    """What makes an image what it is, its name and ids apart."""
    with opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        pool_id, cluster = found.data_pool_id(), connect(site)
        with cluster as connection:
            data_pool = connection.pool_reverse_lookup(pool_id)
        try:
            parent = found.parent_info()[:3]
        except rbd.ImageNotFound:
            parent = None
        users = [s["name"] for s in found.list_snaps() if s["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER]
        snapshots = [(name, found.is_protected_snap(name)) for name in users]
        return {
            "size": found.size(), "order": found.stat()["order"], "features": found.features(), "data pool": data_pool,
            "parent": parent, "snapshots": snapshots, "old": found.old_format(),
        }


def metadata(site: Site, name: str) -> dict[str, str]:
    with opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        return dict(found.metadata_list())


def mode_of(site: Site, name: str) -> int | None:
    """The mirror mode, None for an image that is not mirrored."""
    with opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        if found.mirror_image_get_info()["state"] != rbd.RBD_MIRROR_IMAGE_ENABLED:
            return None
        return int(found.mirror_image_get_mode())


def write(site: Site, name: str, data: bytes, offset: int) -> None:
    with opened(site) as io, rbd.Image(io, name) as found:
        found.write(data, offset)


def read(site: Site, name: str, offset: int, length: int) -> bytes:
    with opened(site) as io, rbd.Image(io, name, read_only=True) as found:
        return bytes(found.read(offset, length))


def omap(io: rados.Ioctx, name: str) -> dict[str, bytes]:
    """The omap of an object; empty when there is none."""
    with rados.ReadOpCtx() as operation:
        pairs, _ = io.get_omap_vals(operation, "", "", 10000)
        try:
            io.operate_read_op(operation, name)
        except rados.ObjectNotFound:
            return {}
        return dict(pairs)


def publish(site: Site, name: str) -> None:
    """A mirror snapshot, under the lock that the product's own take: two at once crash librbd
    (docs/measured.md).
    """
    with ceph_connection.connect(CephAccess("one", "oneadmin", str(site.ceph_conf))) as pool, pool.image(name) as found:
        mirroring.publish_changes(pool, found)


def arrives(site: Site, name: str, sha256: str | None, limit_s: float = 60) -> None:
    """Wait until the image's bytes at the site have this digest; None: there was nothing to arrive."""
    assert sha256 is not None, f"there was no {name} whose bytes could arrive"
    until(f"{name} at {site.name} to be equal", lambda: digest(site, name) == sha256, limit_s, 0.2)


def vanishes(site: Site, name: str, limit_s: float = 60) -> None:
    """Wait until the site has no image of that name, in the trash neither."""
    until(f"{name} to leave {site.name}", lambda: not any(name in names for names in contents(site)), limit_s, 0.1)


class FrontEnd:
    """An XML-RPC server that knows what the test told it. `updates` collects (call, id, text), `asked` ids of
    VMs.
    """

    def __init__(self, address: str):
        self.vms: dict[int, Tree] = {}
        self.datastores: dict[int, Tree] = {}
        self.images: list[Tree] = []
        self.updates: list[tuple[str, int, str]] = []
        self.asked: list[int] = []
        self._server = SimpleXMLRPCServer((address, 0), logRequests=False)
        self.url = f"http://{address}:{self._server.server_address[1]}/RPC2"
        answers = {
            "one.vm.info": lambda _, vm_id, *more: self._vm(vm_id),
            "one.datastore.info": lambda _, found, *more: self._known("DATASTORE", self.datastores, found),
            "one.image.info": lambda _, found, *more: self._known("IMAGE", {one["ID"]: one for one in self.images}, found),
            "one.hostpool.info": lambda *_: [True, text("HOST_POOL", {}), 0],
            "one.imagepool.info": lambda *_: [True, text("IMAGE_POOL", {"IMAGE": self.images}), 0],
            "one.image.update": lambda _, image_id, new, *more: self._update("image", image_id, new),
        }
        for method, function in answers.items():
            self._server.register_function(function, method)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> FrontEnd:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _vm(self, vm_id: int) -> list[Any]:
        self.asked.append(vm_id)
        return self._known("VM", self.vms, vm_id)

    def _known(self, tag: str, objects: dict[int, Tree], number: int) -> list[Any]:
        if number not in objects:
            return [False, f"[one.{tag.lower()}.info] Error getting {tag} [{number}].", 1024, number, -1]
        return [True, text(tag, objects[number]), 0]

    def _update(self, what: str, number: int, new: str) -> list[Any]:
        self.updates.append((what, number, new))
        return [True, number, 0]


@contextmanager
def front_end(bed: Bed) -> Iterator[FrontEnd]:
    """A canned front-end that both sites of the bed reach."""
    slot = claimed(bed.base)
    assert slot is not None
    with FrontEnd(addresses(slot)["root"]) as made:
        yield made


@contextmanager
def no_keeper(*sites: Site) -> Iterator[None]:
    """Keepers are not what is tested here: the place of each is taken, so that those woken end at once."""
    locks = []
    for site in sites:
        state = site.one_location / "var" / "onedr"
        state.mkdir(parents=True, exist_ok=True)
        locks += [(state / f"keeper-{number}.lock").open("w") for number in (DATASTORE_ID, SYSTEM_ID)]
    for lock in locks:
        fcntl.flock(lock, fcntl.LOCK_EX)
    yield
    for lock in locks:
        lock.close()


def random_file(path: Path, size: int, seed: int = 0) -> str:
    """A file of bytes that do not repeat; returns its SHA-256."""
    import random

    data = random.Random(seed).randbytes(size)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def admitted(site: Site, *names: str) -> None:
    """What the keeper does for clones that wait for the snapshot of their base, until these are mirrored."""
    settings = Settings(protect=True)
    with ceph_connection.connect(CephAccess(POOL, "oneadmin", str(site.ceph_conf))) as pool:
        for name in names:
            def through(name: str = name) -> bool:
                waiting = mirror_image.begin_mirroring(pool, name, settings)
                if waiting and waiting.base:
                    clone_order.arrived_bases(pool, settings, [waiting.base])
                return waiting is None

            until(f"{name} to be mirrored", through, 60, 0.2)
