"""A VM on which everything is done that a record must follow, and what is done."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import oracle
import workload as w

from onedr.ceph.connection import Pool
from sandbox.cloud import NETWORK, Cloud
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites


@dataclass
class Ground:
    """One VM with a persistent disk and a clone, a spare image, and both sites' pools."""

    sites: Sites
    here: Pool
    there: Pool
    vm: int
    spare: int
    user: int
    group: int

    @property
    def cloud(self) -> Cloud:
        return self.sites.a


@contextmanager
def make_ground(sites: Sites) -> Iterator[Ground]:
    """The VM runs, its guest writes; a user and a group wait for a chown."""
    a = sites.a
    disk = w.create_image(a, "disk", wait=False)
    base = w.create_image(a, "base", persistent=False, wait=False)
    spare = w.create_image(a, "spare", wait=False)
    for image in (disk, base, spare):
        a.wait_image(image)
    vm = w.create_vm(a, "worker", [disk, base], f'NIC=[NETWORK="{NETWORK}"]\nCONTEXT=[NETWORK="YES"]\n')
    w.wait_writing(a, vm)  # a guest that has not booted lets no disk be unplugged
    user = int(a.api.user.allocate("carol", "secret-of-carol", "core", []))
    group = int(a.api.group.allocate("carols"))
    with w.open_pool(a) as here, w.open_pool(sites.b) as there:
        yield Ground(sites, here, there, vm, spare, user, group)


def turn_off(g: Ground) -> None:
    g.cloud.api.vm.action("poweroff-hard", g.vm)
    g.cloud.wait_vm(g.vm, "POWEROFF")


def suspend(g: Ground) -> None:
    g.cloud.api.vm.action("suspend", g.vm)
    g.cloud.wait_vm(g.vm, "SUSPENDED")


def resume(g: Ground) -> None:
    g.cloud.api.vm.action("resume", g.vm)
    g.cloud.wait_vm(g.vm)


def attach_disk(g: Ground) -> None:
    g.cloud.api.vm.attach(g.vm, f"DISK=[IMAGE_ID={g.spare}]")
    g.cloud.wait_vm(g.vm)


def detach_disk(g: Ground) -> None:
    disk = next(disk for disk in oracle.vm(g.cloud, g.vm).disks if disk.image == g.spare)
    g.cloud.api.vm.detach(g.vm, disk.number)
    g.cloud.wait_image(g.spare, "READY")
    g.cloud.wait_vm(g.vm)


def attach_nic(g: Ground) -> None:
    g.cloud.api.vm.attachnic(g.vm, f'NIC=[NETWORK="{NETWORK}"]')
    g.cloud.wait_vm(g.vm)


def detach_nic(g: Ground) -> None:
    g.cloud.api.vm.detachnic(g.vm, 1)
    g.cloud.wait_vm(g.vm)


def resize(g: Ground) -> None:
    g.cloud.api.vm.resize(g.vm, "MEMORY=144\nCPU=0.2", True)


def update(g: Ground) -> None:
    g.cloud.api.vm.update(g.vm, 'NOTE="a <b> & \\"c\\" ünïcode"\nDR_PRIORITY=2', 1)


def rename(g: Ground) -> None:
    g.cloud.api.vm.rename(g.vm, "worker-2")


def chown(g: Ground) -> None:
    g.cloud.api.vm.chown(g.vm, g.user, g.group)


def chmod(g: Ground) -> None:
    g.cloud.api.vm.chmod(g.vm, 1, 1, 0, 1, 0, 0, 0, 0, 0)


def gone_from(ground: Ground, *names: str) -> None:
    """The images carry no VM's record any more, here and at the peer, but still their own."""
    for pool in (ground.here, ground.there):
        until(f"no VM record on {names}", lambda pool=pool: not any(w.vm_record(pool, name) for name in names), w.ARRIVES_S)
        assert all(w.image_record(pool, name) for name in names)
