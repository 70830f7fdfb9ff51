"""A VM's disk in oned, and the checks that every action on a disk needs (argv: docs/opennebula-facts.md O14).
"""
from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch, decode
from onedr.host import log
from onedr.model import names, parsing, template
from onedr.model import settings as model_settings
from onedr.model.errors import InputError, RefusedError
from onedr.model.settings import wants_protection
from onedr.model.template import Pairs
from onedr.model.types import MIB, CephAccess, ImageName
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.ceph_access import ceph_access
from onedr.protection import keeper_lock
from onedr.replication.mirror_image import begin_mirroring

_DISK_PLACE = re.compile(r".*/datastores/(\d+)/\d+/disk\.\d+")


class Disk(NamedTuple):
    """A VM's disk in oned."""

    vm_id: int
    disk_id: int
    attributes: Pairs
    user_template: Pairs

    @property
    def access(self) -> CephAccess:
        return ceph_access(self.attributes)

    @property
    def rbd_name(self) -> ImageName:
        source = template.get(self.attributes, "SOURCE")
        if not source:
            return ImageName(self.access.pool, names.volatile(self.vm_id, self.disk_id))
        found = parsing.source(source)
        if template.get(self.attributes, "CLONE").upper() == "YES":
            return ImageName(found.pool, names.vm_disk(found.name, self.vm_id, self.disk_id))
        return found

    def connect(self, pool: str, data_pool: str = "") -> CephAccess:
        """Access to the disk's pool, which SOURCE names. New data goes to `data_pool`."""
        return replace(self.access, pool=pool, data_pool=data_pool)


class DriverDatastore(NamedTuple):
    """A datastore in oned."""

    datastore_id: int
    name: str
    attributes: Pairs

    @property
    def data_pool(self) -> str:
        return template.get(self.attributes, "EC_POOL_NAME")


def find_disk(frontend: FrontEnd, vm_id: int, disk_id: int) -> Disk:
    return of_vm(frontend.vm(vm_id), vm_id, disk_id)


def of_vm(vm: etree._Element, vm_id: int, disk_id: int) -> Disk:
    """A disk of `<VM>`. Raises InputError."""
    for disk in template.vectors(attributes(vm), "DISK"):
        if template.get(disk, "DISK_ID") == str(disk_id):
            return Disk(vm_id, disk_id, disk, attributes(vm, "USER_TEMPLATE"))
    raise InputError(f"VM {vm_id} has no disk {disk_id}.")


def datastore(frontend: FrontEnd, datastore_id: int) -> DriverDatastore:
    """The datastore whose work is to be done here.

    When a bridge host does the work, nothing returns (driver.bridge_dispatch).
    """
    found = read_datastore(frontend, datastore_id)
    bridge_dispatch.unless_here(found.attributes)
    return found


def read_datastore(frontend: FrontEnd, datastore_id: int) -> DriverDatastore:
    """The datastore in oned, wherever its work is done."""
    found = frontend.datastore(datastore_id)
    return DriverDatastore(datastore_id, found.findtext("NAME") or str(datastore_id), attributes(found))


def from_image(arguments: list[str], frontend: FrontEnd) -> tuple[ImageName, Disk, DriverDatastore]:
    """What `FE:SOURCE HOST:…/disk.N VM_ID DS_ID` names."""
    source, target, vm_id, datastore_id = decode.words(arguments, "SOURCE", "TARGET", "VM_ID", "DATASTORE_ID")
    found = parsing.source(source.partition(":")[2])
    disk_id = decode.disk_id(target)
    vm, of = parsing.count(vm_id, "VM_ID"), parsing.count(datastore_id, "DATASTORE_ID")
    return found, find_disk(frontend, vm, disk_id), datastore(frontend, of)


def data_pool_at(frontend: FrontEnd, target: str) -> str:
    """EC_POOL_NAME of the VM's system datastore, as in the stock driver, not that of the image's datastore.
    """
    match = _DISK_PLACE.fullmatch(target)
    return read_datastore(frontend, int(match[1])).data_pool if match else ""


def protect_disk(pool: Pool, name: str, datastore: DriverDatastore, disk: Disk) -> None:
    try:
        settings = model_settings.read_settings(datastore.attributes, datastore.name)
    except InputError as error:  # an invalid DR_ attribute must not stop a VM
        log.warn_oned(f"{name} is not protected yet: {error}")
        return
    if not wants_protection(settings, disk.user_template):
        return
    if not wants_protection(settings, disk.attributes):  # whose word that is, the keeper looks up
        keeper_lock.wake_keeper(datastore.datastore_id)
        return
    waiting = begin_mirroring(pool, name, settings)
    # waiting for its base's snapshot is normal; the keeper continues
    if waiting and not waiting.base:
        log.warn_oned(f"{name} is not protected yet: {waiting.reason}")
    keeper_lock.wake_keeper(datastore.datastore_id)


def must_be_primary(pool: Pool, name: str) -> None:
    primary = mirroring.is_primary_image(pool, name)
    if primary is None:
        raise InputError(f"RBD image {pool.access.pool}/{name} does not exist.")
    # otherwise a guest would boot and then get I/O errors (docs/ceph-facts.md C28),
    # and the peer may be running it
    if not primary:
        raise RefusedError(
            f"RBD image {pool.access.pool}/{name} is the peer's copy here, not the primary: the VM must not "
            "start at this site. See onedr status; onedr failover makes this site the primary."
        )


def grown_bytes(attributes: Pairs) -> int:
    """SIZE in bytes of a disk that is to be larger than its image, else 0."""
    original, wanted = template.get(attributes, "ORIGINAL_SIZE"), template.get(attributes, "SIZE")
    if original and wanted and parsing.count(wanted, "SIZE") > parsing.count(original, "ORIGINAL_SIZE"):
        return parsing.count(wanted, "SIZE") * MIB
    return 0
