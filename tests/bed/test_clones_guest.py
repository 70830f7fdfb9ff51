"""A running guest's disk is flattened under it: it does not stop writing, nothing is lost, and until then it
says so.
"""
from __future__ import annotations

import os
from typing import TYPE_CHECKING

import workload as w

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.model.types import MIB
from onedr.replication.mirror_image import parent_of
from sandbox.guest import ledger
from sandbox.waiting import until

if TYPE_CHECKING:
    from conftest import Sites

_LIMIT_S = 180


def test_a_running_guests_disk_is_flattened_under_it(sites: Sites) -> None:
    a = sites.a
    a.api.datastore.update(a.datastore_id, "DR_CLONES=FLATTEN", 1)
    base = w.create_image(a, "base", persistent=False)
    with w.open_pool(a) as here, w.open_pool(sites.b) as there:
        with here.image(w.rbd_name(a, base)) as image:
            image.write(os.urandom(16 * MIB), 16 * MIB)
        place = ExclusiveLock(here, f"onedr.flatten.{a.datastore_id}")
        until("the place", place.acquire, _LIMIT_S)
        vm = w.create_vm(a, "worker", [base])
        name = w.vm_disks(a, vm)[0]
        w.wait_writing(a, vm, 3)
        writer = w.lock_owners(here, name)
        assert is_clone(here, name) and writer
        shown = {item["name"]: item["reason"] for item in w.status(a)["unprotected"]}
        assert shown[name] == f"waits to be flattened from its parent one/{w.rbd_name(a, base)}"
        place.release()
        a.onedr("reconcile", str(a.datastore_id))  # at once, or after the keeper
        assert not is_clone(here, name)
        assert w.lock_owners(here, name) == writer, "the guest kept its lock"
        w.wait_writing(a, vm, 5)
        w.wait_complete(a, [name], _LIMIT_S)
        assert name not in {item["name"] for item in w.status(a)["unprotected"]}
        a.api.vm.action("poweroff-hard", vm)
        a.wait_vm(vm, "POWEROFF")
        until("equal data", lambda: read(here, name) == read(there, name), _LIMIT_S, 0.5)
        with here.image(name, read_only=True) as image:
            assert ledger.lost(w.told(a, vm), ledger.read_image(image)) == []
            assert mirroring.is_primary(image)
        assert read(here, name)[16 * MIB :] == read(here, w.rbd_name(a, base))[16 * MIB :]


def is_clone(pool: Pool, name: str) -> bool:
    with pool.image(name, read_only=True) as image:
        return parent_of(image) is not None


def read(pool: Pool, name: str) -> bytes:
    with pool.image(name, read_only=True) as image:
        return bytes(image.read(0, image.size()))
