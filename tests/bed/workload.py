"""What the tests of records and failover share: images and VMs made by the API, records read from images."""
from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import oracle
import rbd

from onedr.ceph import connection, mirroring
from onedr.ceph.connection import Pool
from onedr.driver.start_action import driver_data
from onedr.model.records import Envelope, ImageRecord, VmRecord
from onedr.model.types import CephAccess
from onedr.opennebula.api import FrontEnd
from onedr.replication import records
from onedr.runs.request import Request
from sandbox.cloud import Cloud
from sandbox.guest import ledger
from sandbox.waiting import SandboxError, until

IMAGE_MIB = 32
_DISABLED = 1  # one.host.status
_PIECE = 1 << 22
MARKS = ("onedr.mark", "onedr.quiet")  # metadata that a keeper writes as long as it lives
ARRIVES_S = 90  # limit of every wait for a record; the machine may be busy
SMALL = "CPU=0.1\nMEMORY=128\n"


@contextmanager
def open_pool(cloud: Cloud) -> Iterator[Pool]:
    """The RBD pool of a site."""
    with connection.connect(CephAccess("one", cloud.ceph_user, str(cloud.ceph_conf))) as pool:
        yield pool


def frontend(cloud: Cloud) -> FrontEnd:
    """The product's own view of a front-end."""
    return FrontEnd(cloud.endpoint, cloud.one_auth.read_text().strip())


def create_image(cloud: Cloud, name: str, more: str = "", persistent: bool = True, wait: bool = True) -> int:
    """An empty image in the protected datastore."""
    kind = "YES" if persistent else "NO"
    text = f"NAME={name}\nTYPE=DATABLOCK\nSIZE={IMAGE_MIB}\nPERSISTENT={kind}\nDEV_PREFIX=vd\n{more}"
    image_id = int(cloud.api.image.allocate(text, cloud.datastore_id))
    if wait:
        cloud.wait_image(image_id)
    return image_id


def create_vm(cloud: Cloud, name: str, images: list[int], more: str = "", wait: bool = True) -> int:
    """A small VM on these images, in this order, running."""
    disks = "".join(f"DISK=[IMAGE_ID={image}]\n" for image in images)
    vm_id = int(cloud.api.vm.allocate(f"NAME={name}\n{SMALL}{disks}{more}"))
    if wait:
        cloud.wait_vm(vm_id)
    return vm_id


def console(cloud: Cloud, vm_id: int) -> Path:
    """Console log of a VM's guest."""
    return Path(cloud.environment["SANDBOX_SITE"]) / "vm" / str(vm_id) / "console.log"


def told(cloud: Cloud, vm_id: int, target: str = "vda") -> list[ledger.Record]:
    """What a guest said that it has on its disk."""
    return ledger.read_console(console(cloud, vm_id)).get(target, [])


def wait_writing(cloud: Cloud, vm_id: int, more: int = 1, target: str = "vda", limit_s: float = 90) -> None:
    """Wait until a guest has booted and written `more` records from now on."""
    wanted = len(told(cloud, vm_id, target)) + more
    until(f"the guest of VM {vm_id} to write", lambda: len(told(cloud, vm_id, target)) >= wanted, limit_s)


def rbd_name(cloud: Cloud, image_id: int) -> str:
    """RBD name of an OpenNebula image."""
    return str(cloud.api.image.info(image_id).SOURCE.partition("/")[2])


def values_of(pool: Pool, name: str) -> dict[str, str]:
    """All metadata of an image, OneDR's or not; empty when the image is not there (yet)."""
    try:
        with pool.image(name, read_only=True) as image:
            return {str(key): str(value) for key, value in image.metadata_list()}
    except rbd.ImageNotFound:
        return {}


def vm_envelope(pool: Pool, name: str) -> Envelope | None:
    """The VM record on an image."""
    return records.decode(records.VM_KEY, values_of(pool, name))


def vm_record(pool: Pool, name: str) -> VmRecord | None:
    """Its body."""
    found = vm_envelope(pool, name)
    return found.body if found is not None and isinstance(found.body, VmRecord) else None


def image_record(pool: Pool, name: str) -> ImageRecord | None:
    """The image record on an image."""
    found = records.decode(records.IMAGE_KEY, values_of(pool, name))
    return found.body if found is not None and isinstance(found.body, ImageRecord) else None


def vm_disks(cloud: Cloud, vm_id: int) -> list[str]:
    """RBD names of a VM's protected disks, in order, by oned's own XML."""
    return oracle.vm(cloud, vm_id).protected


def recorded(cloud: Cloud, vm_id: int, pool: Pool) -> bool:
    """Whether each protected disk of a VM carries the VM's present definition in a pool."""
    wanted = oracle.vm(cloud, vm_id)
    return all(oracle.of_vm_record(vm_record(pool, name)) == wanted for name in wanted.protected)


def wait_recorded(cloud: Cloud, vm_id: int, *pools: Pool) -> list[float]:
    """Wait until each protected disk of a VM carries the VM's present definition, pool after pool.

    Returns the seconds from this call to each pool's last disk.
    """
    began = time.monotonic()
    taken = []
    for pool in pools:
        def equal(pool: Pool = pool) -> bool:
            return recorded(cloud, vm_id, pool)

        try:
            until(f"the record of VM {vm_id}", equal, ARRIVES_S)
        except SandboxError as error:
            wanted = oracle.vm(cloud, vm_id)
            found = {name: oracle.of_vm_record(vm_record(pool, name)) for name in wanted.protected}
            raise SandboxError(f"{error}: wanted {wanted}, found {found}") from error
        taken.append(time.monotonic() - began)
    return taken


def wait_complete(cloud: Cloud, names: list[str], limit_s: float = 120, datastore: int | None = None) -> None:
    """Wait until `onedr status` calls the copies of these images complete."""
    def look() -> bool:
        complete = {disk["name"] for disk in status(cloud, datastore)["disks"] if disk["complete"]}
        return complete >= set(names)

    until(f"complete copies of {', '.join(names)}", look, limit_s, 0.5)


def wait_point(cloud: Cloud, names: Collection[str], after: float = 0.0, limit_s: float = ARRIVES_S) -> None:
    """Wait until a site knows a recovery point later than `after` (epoch seconds) of each of these VMs.

    A complete copy has none yet: the keeper sets its first time mark in its next turn, and the mark travels.
    """
    def known() -> bool:
        points = {vm["name"]: vm["recovery_point"] or 0.0 for vm in status(cloud)["vms"]}
        return all(points.get(name, 0.0) > after for name in names)

    until(f"recovery points at {cloud.name}", known, limit_s, 0.5)


def status(cloud: Cloud, datastore: int | None = None) -> dict[str, Any]:
    """`onedr status --json` of the protected datastore, or of another one."""
    return cloud.onedr("status", str(cloud.datastore_id if datastore is None else datastore))


def digest(cloud: Cloud, name: str) -> str:
    """SHA-256 of what an image holds at a site."""
    with open_pool(cloud) as pool:
        return digest_in(pool, name)


def digest_in(pool: Pool, name: str, snapshot: str | None = None) -> str:
    """The same in an open pool, now or at a snapshot."""
    sha = hashlib.sha256()
    with rbd.Image(pool.io, name, snapshot=snapshot, read_only=True) as image:
        for offset in range(0, image.size(), _PIECE):
            sha.update(image.read(offset, min(_PIECE, image.size() - offset)))
    return sha.hexdigest()


def wait_equal(
    a: Cloud, b: Cloud, names: Sequence[str], limit_s: float = 90,
) -> tuple[dict[str, str], dict[str, str]]:
    """Wait until images that no one writes to hold the same at both sites; their digests at each, by name."""
    here: dict[str, str] = {}
    there: dict[str, str] = {}

    def equal() -> bool:
        here.update({name: digest(a, name) for name in names})
        there.update({name: digest(b, name) for name in names})
        return here == there

    until(f"equal bytes of {', '.join(names)}", equal, limit_s, 0.5)
    return here, there


def introduce(here: Cloud, there: Cloud) -> None:
    """Tell a site how to reach the other's front-end."""
    folder = here.one_location / "etc/onedr"
    folder.mkdir(exist_ok=True)
    auth = folder / "peer_auth"
    auth.write_text(there.one_auth.read_text())
    auth.chmod(0o600)
    (folder / "onedr.conf").write_text(f"[peer]\nendpoint = {there.endpoint}\nauth = {auth}\ninsecure = yes\n")


def guestless(cloud: Cloud) -> Cloud:
    """The same site with a host that runs VMs without guests, where only disks and objects count; its only one."""
    made = replace(cloud, vm_mad="dummy")
    made.api.host.allocate("guestless", cloud.im_mad, "dummy", -1)
    made.api.host.status(0, _DISABLED)
    return made


def written_vms(
    a: Cloud, b: Cloud, names: Sequence[str], loose: Sequence[str] = (),
) -> tuple[dict[str, str], dict[str, str]]:
    """At site A a running VM on a written disk for each name, and written images without a VM; whole at site B.

    Returns the RBD names and the digests, by name.
    """
    images = {name: create_image(a, f"{name}-disk", wait=False) for name in (*names, *loose)}
    disks, content = {}, {}
    for name, image in images.items():
        a.wait_image(image)
        disks[name] = rbd_name(a, image)
        with open_pool(a) as pool, pool.image(disks[name]) as opened:
            opened.write(os.urandom(1 << 20), 5 << 20)
        content[name] = digest(a, disks[name])
    vms = [create_vm(a, name, [images[name]], wait=False) for name in names]
    for vm in vms:
        a.wait_vm(vm)
    with open_pool(b) as there:
        for vm in vms:
            wait_recorded(a, vm, there)
    wait_complete(a, list(disks.values()))
    return disks, content


def lock_owners(pool: Pool, name: str) -> list[Any]:
    """Who holds an image's exclusive lock."""
    with pool.image(name, read_only=True) as image:
        return list(dict(image.list_lockers() or {}).get("lockers", []))


def primaries(pool: Pool) -> dict[str, bool]:
    """Mirror role of every mirrored image of a pool."""
    found = {}
    for name in pool.names():
        with pool.image(name, read_only=True) as image:
            if mirroring.mirror_mode(image) is not None:
                found[name] = mirroring.is_primary(image)
    return found


def last_run(cloud: Cloud) -> dict[str, Any]:
    """The newest run in `onedr history` of a site."""
    runs = json.loads(cloud.run("onedr", "history", str(cloud.datastore_id), "--json").stdout)
    return dict(list(runs.values())[-1]) if runs else {}


def start_action(cloud: Cloud, request: Request, datastore: int | None = None) -> subprocess.Popen[str]:
    """The driver executable of an action, started as `onedr` and the hook do; its events come on `stdout`."""
    path = cloud.one_location / "var/remotes/datastore/ceph_dr" / request.verb
    datastore = cloud.datastore_id if datastore is None else datastore
    tools = f"{cloud.one_location / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    own = {
        "ONE_LOCATION": str(cloud.one_location), "ONE_XMLRPC": cloud.endpoint, "ONE_AUTH": str(cloud.one_auth),
        "PATH": tools,
    }
    child = subprocess.Popen(
        [*cloud.prefix, str(path), str(datastore)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={**os.environ, **cloud.environment, **own},
    )
    assert child.stdin is not None
    with child.stdin as stdin:
        stdin.write(driver_data(frontend(cloud).datastore(datastore), request).decode())
    return child
