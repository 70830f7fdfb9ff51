"""Register promoted RBD images as OpenNebula images of this site."""
from __future__ import annotations

from typing import NamedTuple

from onedr.ceph import base_snapshot, images
from onedr.failover.snapshot_list_plan import SnapshotList, of_disk, read_list
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.failover.target_site import Site, give
from onedr.model import names, template
from onedr.model.errors import FrontEndError, OneDRError
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.types import MIB
from onedr.opennebula import image_template, vm_template
from onedr.replication import ledger
from onedr.replication.inventory import VmItem

MAX_NAME = 128


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


def subject_of(site: Site, image: ImageFacts, owner: VmItem | None) -> Subject:
    """What its own record says it was, or, for a VM's clone, a persistent image of its own."""
    own = image.image
    if own is not None and own.fsid != site.here and isinstance(own.body, ImageRecord):
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
    return Subject(
        f"{vm.name}-disk-{disk.disk_id}", kind, True, vm.owner, vm.group, vm.permissions, (),
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


def register_image(site: Site, image: ImageFacts, owner: VmItem | None, lists: SnapshotLists) -> str:
    """Register an image under its name, owner and permissions, and list its snapshots. `owner`: the VM whose
    disk it is, if any.

    Raises OneDRError when no record says what it is, FrontEndError when oned refuses.
    """
    subject = subject_of(site, image, owner)
    source = image.name if subject.persistent else _local_base(site, image)
    description = image_template.image_description(
        subject.name[:MAX_NAME],
        subject.kind,
        subject.persistent,
        f"{site.pool.access.pool}/{source}",
        -(-image.size // MIB),
        subject.origin,
    )
    entry = ledger.Entry(subject.origin, (source,), stands_for=image.name)
    token = ledger.begin(site.pool, entry.begun_as)
    marks = ((vm_template.ORIGIN_SOURCE, image.name), (ledger.TOKEN, token))
    image_id = _allocate(site, image.name, (*description, *marks), subject.site)
    ledger.note(site.pool, "image", image_id, entry)
    give(site, "image", image_id, subject.owner, subject.group, subject.permissions, image.name)
    if subject.persistent:
        lists.list_image(image_id, image.name, subject.snapshots)
    # As data, after the registration: oned refuses one that also names an app, a backup or a path.
    done = ((vm_template.FINISHED, "YES"), (ledger.TOKEN, ""))
    site.frontend.update_image(image_id, (*image_template.portable_image(subject.attributes), *done))
    ledger.change(site.pool, "image", image_id, finished=True)
    site.images[image.name] = image_id
    return f"image {image_id}"


def _local_base(site: Site, image: ImageFacts) -> str:
    """A clone under a name of this site: oned names VM disks after their base, and the peer's VM ids are used
    here too (docs/opennebula-facts.md O4).
    """
    name = names.taken_base(image.name, site.settings.site_index)
    what = f"base {image.name} of the peer"
    # It is there when an interrupted run made it, or was about to mark it.
    if site.pool.exists(name) and (
        images.is_created_for(site.pool, name, what) or images.adopt_clone(site.pool, image.name, name, what)
    ):
        return name
    with images.creating(site.pool, name, what):
        base_snapshot.clone_from_base(site.pool, image.name, name)
    return name


def _allocate(site: Site, rbd_name: str, description: template.Pairs, origin_site: str) -> int:
    """Register, or go on with what an interrupted run registered.

    A name that is taken gets the site's name behind it.
    """
    if rbd_name in site.images:
        return site.images[rbd_name]
    name = template.get(description, "NAME")
    tries = [
        name,
        f"{name}-{origin_site}"[:MAX_NAME],
        *(f"{name}-{origin_site}-{n}"[:MAX_NAME] for n in range(2, 10)),
    ]
    for candidate in tries:
        try:
            image_id = site.frontend.allocate_image(
                (("NAME", candidate), *description[1:]), site.datastore_id
            )
        except FrontEndError as error:
            if "NAME is already taken" not in str(error):
                raise
            continue
        if candidate != name:
            site.warn(rbd_name, f"image name {name} was taken, it is {candidate} here")
        return image_id
    raise OneDRError(f"no free name like {name!r} for the image; rename one of yours")
