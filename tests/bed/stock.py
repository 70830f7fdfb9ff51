"""A stock Ceph datastore with a stock system datastore and a VM that writes; what its images look like from outside."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import rbd
import workload as w

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.runs.request import Request
from sandbox.cloud import Cloud
from sandbox.guest import ledger
from sandbox.waiting import until

NAME, SYSTEM = "stock", "stock-system"
_MODERN = rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF


@dataclass
class Stock:
    """Site `cloud`'s stock datastore; `images` by name, and a VM on all of them: vda, vdb and vdc."""

    cloud: Cloud
    datastore_id: int
    images: dict[str, int] = field(default_factory=dict)
    vm: int = -1

    def template(self) -> dict[str, Any]:
        """The datastore's attributes, and its drivers as the object has them."""
        found = self.cloud.api.datastore.info(self.datastore_id)
        return {**found.TEMPLATE, "object": (found.DS_MAD, found.TM_MAD)}

    def create_image(self, name: str, persistent: bool = True) -> int:
        text = f"NAME={name}\nTYPE=DATABLOCK\nSIZE={w.IMAGE_MIB}\nDEV_PREFIX=vd\nPERSISTENT={'YES' if persistent else 'NO'}\n"
        image = int(self.cloud.api.image.allocate(text, self.datastore_id))
        self.cloud.wait_image(image)
        return image

    def create_vm(self, name: str, images: list[int]) -> int:
        disks = "".join(f"DISK=[IMAGE_ID={image}]\n" for image in images)
        place = f'SCHED_DS_REQUIREMENTS="NAME=\\"{SYSTEM}\\""\n'
        vm = int(self.cloud.api.vm.allocate(f"NAME={name}\n{w.SMALL}{disks}{place}"))
        self.cloud.wait_vm(vm)
        return vm

    def disks(self, vm: int) -> list[dict[str, Any]]:
        """DISK vectors of a VM."""
        found = self.cloud.api.vm.info(vm).TEMPLATE["DISK"]
        return list(found) if isinstance(found, list) else [found]

    def rbd_names(self) -> dict[str, str]:
        """RBD names of all its images and of the first VM's clone, by what they are."""
        names = {name: w.rbd_name(self.cloud, image) for name, image in self.images.items()}
        return {**names, "clone": f"{names['base']}-{self.vm}-1"}

    def wait_space(self) -> None:
        """oned forgets a datastore's size when its drivers change, and refuses new images until it was monitored (each 300 s)."""
        until("space", lambda: int(self.cloud.api.datastore.info(self.datastore_id).FREE_MB) > 0, 330, 0.2)

    def onedr(self, *argv: str, code: int = 0) -> list[dict[str, Any]]:
        """`onedr <verb> stock … --json`: its events."""
        done = self.cloud.run("onedr", argv[0], NAME, *argv[1:], "--json", check=False)
        assert done.returncode == code, done.stderr or done.stdout
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refusals(self, *argv: str) -> str:
        """Why `onedr <verb>` is refused."""
        return " ".join(self.onedr(*argv, code=2)[-1]["refusals"])

    def kill_after(self, verb: str, items: int, **asked: Any) -> None:
        """Start the verb's executable and SIGKILL it when it has told of so many items."""
        request = Request(verb, **asked)
        with w.start_action(self.cloud, request, self.datastore_id) as child:
            assert child.stdout is not None
            seen = 0
            for line in child.stdout:
                seen += json.loads(line)["event"] == "item"
                if seen == items:
                    break
            child.kill()
            assert child.wait() == -9


def make(cloud: Cloud) -> Stock:
    """Datastores, images and a running VM: a persistent disk, a clone, and a disk with the features of old Ceph releases."""
    ceph = cloud.ceph_attributes()
    cloud.create("onedatastore", f"NAME={SYSTEM}\nTYPE=SYSTEM_DS\nTM_MAD=ceph\nBRIDGE_LIST=localhost\n{ceph}")
    driver = "DS_MAD=ceph\nTM_MAD=ceph\nBRIDGE_LIST=localhost\n"
    stock = Stock(cloud, cloud.create("onedatastore", f'NAME={NAME}\nTYPE=IMAGE_DS\n{driver}{ceph}NOTE="a <b> & \\"c\\""\n'))
    stock.wait_space()
    stock.images = {name: stock.create_image(name, name != "base") for name in ("data", "base", "old", "spare")}
    with w.open_pool(cloud) as pool, pool.image(w.rbd_name(cloud, stock.images["old"])) as image:
        image.update_features(image.features() & _MODERN, False)
    stock.vm = stock.create_vm("worker", [stock.images[name] for name in ("data", "base", "old")])
    for target in ("vda", "vdb", "vdc"):
        w.wait_writing(cloud, stock.vm, target=target)
    return stock


def outside(pool: Pool, name: str) -> dict[str, Any]:
    """Everything of an image but its data."""
    with pool.image(name, read_only=True) as image:
        user = rbd.RBD_SNAP_NAMESPACE_TYPE_USER
        snapshots = [
            (s["name"], s["namespace"], s["namespace"] == user and image.is_protected_snap(s["name"])) for s in image.list_snaps()
        ]
        try:
            parent = image.parent_info()
        except rbd.ImageNotFound:
            parent = None
        return {
            "id": image.id(), "size": image.size(), "features": image.features(), "flags": image.flags(), "parent": parent,
            "metadata": sorted(image.metadata_list()), "snapshots": snapshots, "mode": mirroring.mirror_mode(image),
        }


def all_outside(stock: Stock, pool: Pool) -> dict[str, dict[str, Any]]:
    """The same of every image and clone of it."""
    return {what: outside(pool, name) for what, name in stock.rbd_names().items()}


def wait_at_peer(stock: Stock, there: Pool) -> None:
    """Wait until the peer has, disk by disk, every record that the VM's guest had told by now."""
    names = stock.rbd_names()
    for target, what in (("vda", "data"), ("vdb", "clone"), ("vdc", "old")):
        told = w.told(stock.cloud, stock.vm, target)

        def arrived(name: str = names[what], told: list[ledger.Record] = told) -> bool:
            try:
                with there.image(name, read_only=True) as image:
                    return not ledger.lost(told, ledger.read_image(image))
            except (rbd.ImageNotFound, ledger.BrokenLedger):
                return False

        until(f"{what} at the peer", arrived, 60, 0.3)


def schedules(pool: Pool) -> str:
    """Ceph's mirror snapshot schedules of the pool, as text."""
    command = {"prefix": "rbd mirror snapshot schedule list", "level_spec": f"{pool.access.pool}/", "format": "json"}
    _, out, _ = pool.cluster.mgr_command(json.dumps(command), b"")
    return str(out.decode())
