"""Register promoted RBD images as OpenNebula images of this site."""
from __future__ import annotations

from onedr.ceph import base_snapshot, images
from onedr.failover.target_site import Site, give
from onedr.model import names, template
from onedr.model.errors import FrontEndError, OneDRError
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.types import MIB
from onedr.opennebula import image_template, vm_template
from onedr.replication import ledger
from onedr.replication.inventory import VmItem

MAX_NAME = 128


def register_image(site: Site, image: ImageFacts, owner: VmItem | None) -> str:
    """Register an image: as what its own record says it was, or, for a VM's clone, as a persistent image of
    its own.
    """
    own = image.image
    if own is not None and own.fsid != site.here and isinstance(own.body, ImageRecord):
        record, origin_site, origin = own.body, own.site, f"{own.fsid}:{own.body.image_id}"
        name, kind, persistent = record.name, image_template.image_type(record.type), record.persistent
        owner_name, group, permissions, attributes = (
            record.owner,
            record.group,
            record.permissions,
            record.template,
        )
    elif owner is not None:
        disk = next(disk for disk in owner.record.disks if (disk.rbd or "").endswith(f"/{image.name}"))
        origin_site, origin = owner.envelope.site, owner.origin
        name, kind, persistent = (
            f"{owner.record.name}-disk-{disk.disk_id}",
            "OS" if disk.disk_id == 0 else "DATABLOCK",
            True,
        )
        owner_name, group, permissions = owner.record.owner, owner.record.group, owner.record.permissions
        attributes = ()
    else:
        raise OneDRError(f"no record says what {image.name} is")
    source = image.name if persistent else _local_base(site, image)
    description = image_template.image_description(
        name[:MAX_NAME],
        kind,
        persistent,
        f"{site.pool.access.pool}/{source}",
        -(-image.size // MIB),
        origin,
    )
    entry = ledger.Entry(origin, (source,), stands_for=image.name)
    marks = ((vm_template.ORIGIN_SOURCE, image.name), (ledger.TOKEN, ledger.begin(site.pool, entry.begun_as)))
    image_id = _allocate(site, image.name, (*description, *marks), origin_site)
    ledger.note(site.pool, "image", image_id, entry)
    give(site, "image", image_id, owner_name, group, permissions, image.name)
    # As data, after the registration: oned refuses one that also names an app, a backup or a path.
    site.frontend.update_image(
        image_id,
        (*image_template.portable_image(attributes), (vm_template.FINISHED, "YES"), (ledger.TOKEN, "")),
    )
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
