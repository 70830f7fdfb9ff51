"""What an RBD image is registered as at this site, by the records that came with it. Pure."""
from __future__ import annotations

from typing import NamedTuple

from onedr.failover.snapshot_list_plan import SnapshotList, of_disk, read_list
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.records import ImageFacts, ImageRecord
from onedr.opennebula import image_template
from onedr.replication.inventory import VmItem


class Subject(NamedTuple):
    """What an RBD image is registered as. `kind`: the image's TYPE."""

    name: str
    kind: str
    persistent: bool
    owner: str
    group: str
    permissions: str
    attributes: template.Pairs
    snapshots: SnapshotList
    site: str  # where it came from, for people
    origin: str


def subject_of(here: str, image: ImageFacts, owner: VmItem | None) -> Subject:
    """What its own record says it was, or, for a VM's clone, a persistent image of its own. `here`: this
    cluster's id. Raises OneDRError when no record says what it is.
    """
    own = image.image
    if own is not None and own.fsid != here and isinstance(own.body, ImageRecord):
        record = own.body
        return Subject(
            record.name, image_template.image_type(record.type), record.persistent, record.owner,
            record.group, record.permissions, record.template, _recorded(image, record, owner), own.site,
            f"{own.fsid}:{record.image_id}",
        )
    if owner is None:
        raise OneDRError(f"no record says what {image.name} is")
    vm = owner.record
    disk = next(disk for disk in vm.disks if (disk.rbd or "").endswith(f"/{image.name}"))
    kind = "OS" if disk.disk_id == 0 else "DATABLOCK"
    name = image_template.fitting_name(vm.name, f"-disk-{disk.disk_id}")
    return Subject(
        name, kind, True, vm.owner, vm.group, vm.permissions, (),
        of_disk(vm.snapshots, disk.disk_id), owner.envelope.site, owner.origin,
    )


def _recorded(image: ImageFacts, record: ImageRecord, owner: VmItem | None) -> SnapshotList:
    """Its snapshots by the record of the VM that uses it,
    which is written with every one of them; else by its own.
    """
    vm = None if owner is None else owner.record
    for disk in () if vm is None else vm.disks:
        if vm is not None and (disk.rbd or "").endswith(f"/{image.name}"):
            found = of_disk(vm.snapshots, disk.disk_id)
            if found.snapshots:
                return found
    return read_list(record.snapshots)


def other_names(name: str, origin_site: str) -> list[str]:
    """Names that an image gets where its own is taken, in the order in which they are tried."""
    endings = [f"-{origin_site}", *(f"-{origin_site}-{number}" for number in range(2, 10))]
    return [image_template.fitting_name(name, ending) for ending in endings]
