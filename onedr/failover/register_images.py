"""Register promoted RBD images as OpenNebula images of this site."""
from __future__ import annotations

from onedr.ceph import base_snapshot, images
from onedr.failover.image_subject import Subject, other_names, subject_of
from onedr.failover.snapshot_lists import SnapshotLists
from onedr.failover.target_site import Site, give
from onedr.model import names, template
from onedr.model.errors import FrontEndError, OneDRError
from onedr.model.records import ImageFacts
from onedr.model.types import MIB
from onedr.opennebula import image_template, vm_template
from onedr.opennebula.mapped import Owner
from onedr.opennebula.objects import image_state
from onedr.replication import ledger
from onedr.replication.inventory import VmItem

# by an image of oneadmin's, of its owner's (7.4; releases before)
_TAKEN = ("NAME is already taken", "already owns", "is already owned")


def register_image(site: Site, image: ImageFacts, owner: VmItem | None, lists: SnapshotLists) -> str:
    """Register an image under its name, owner and permissions, and list its snapshots. `owner`: the VM whose
    disk it is, if any.

    Raises OneDRError when no record says what it is, FrontEndError when oned refuses.
    """
    subject = subject_of(site.here, image, owner)
    source = image.name if subject.persistent else _local_base(site, image)
    description = image_template.image_description(
        image_template.fitting_name(subject.name),
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
    _give(site, image_id, subject, image.name)
    if subject.persistent:
        lists.list_image(image_id, image.name, subject.snapshots)
    if owner is None and image_template.is_disabled(subject.attributes):
        disable(site, image_id)
    # As data, after the registration: oned refuses one that also names an app, a backup or a path.
    done = ((vm_template.FINISHED, "YES"), (ledger.TOKEN, ""))
    site.frontend.update_image(image_id, (*image_template.portable_image(subject.attributes), *done))
    ledger.change(site.pool, "image", image_id, finished=True)
    site.images[image.name] = image_id
    return f"image {image_id}"


def disable(site: Site, image_id: int) -> None:
    """As its admin had it at the other site. Reads back. Raises OneDRError."""
    if image_state(site.frontend.image(image_id)) == "READY":
        site.frontend.call("image.enable", image_id, False)
    if image_state(site.frontend.image(image_id)) != "DISABLED":
        raise OneDRError(f"image {image_id} is not disabled although it was at the other site; oneimage show")


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
    for candidate in (name, *other_names(name, origin_site)):
        try:
            image_id = site.frontend.allocate_image(
                (("NAME", candidate), *description[1:]), site.datastore_id
            )
        except FrontEndError as error:
            if not _is_taken(error):
                raise
            continue
        if candidate != name:
            site.warn(rbd_name, f"image name {name} was taken, it is {candidate} here")
        return image_id
    raise OneDRError(f"no free name like {name!r} for the image; rename one of yours")


def _give(site: Site, image_id: int, subject: Subject, rbd_name: str) -> None:
    """Its owner and rights. Where the owner has an image of that name here, it gets another one: oned refuses
    two of one name to one user.
    """
    for candidate in ("", *other_names(subject.name, subject.site)):
        try:
            if candidate:
                site.frontend.call("image.rename", image_id, candidate)
            owner = Owner(subject.owner, subject.group)
            give(site, "image", image_id, owner, subject.permissions, rbd_name)
        except FrontEndError as error:
            if not _is_taken(error):
                raise
            continue
        if candidate:
            text = f"{subject.owner} has an image {subject.name} here already: this one is {candidate}"
            site.warn(rbd_name, text)
        return
    raise OneDRError(f"{subject.owner} has images named like {subject.name!r} here; rename one of them.")


def _is_taken(error: FrontEndError) -> bool:
    return any(text in str(error) for text in _TAKEN)
