"""one.image.* and one.imagepool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api, unlocked
from sandbox.frontend.drivers import image_actions, image_create
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import images
from sandbox.frontend.objects.datastores import BACKUP_DS, IMAGE_DS, SYSTEM_DS, Datastore
from sandbox.frontend.objects.errors import ApiError, Code, action, internal, not_allocated
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.restrictions import demand_unrestricted
from sandbox.frontend.objects.snapshots import Snapshots
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import ADMIN, MANAGE, USE, Caller

shared_calls.add_info("image", Image)
shared_calls.add_pool("image", Image)
shared_calls.add_update("image", Image, "IMAGE_RESTRICTED_ATTR")
shared_calls.add_rename("image", Image, "IMAGE")
shared_calls.add_ownership("image", Image)
shared_calls.add_lock("image", Image)


@api("one.image.allocate", "si?b")
@unlocked
def allocate(frontend: Frontend, who: Caller, text: str, datastore_id: int, unchecked: bool = False) -> int:
    """A new image. `stat` of the driver runs before the answer, everything else after it."""
    template = shared_calls.read_template(text)
    with frontend.lock:
        datastore = frontend.store.get(Datastore, datastore_id)
        if datastore.type in (SYSTEM_DS, BACKUP_DS):
            raise not_allocated("image", "New images can only be allocated in a files or image datastore.")
        datastore_xml, ds_mad = datastore.to_xml(), datastore.ds_mad
    if template.number("FROM_APP") is not None:
        size = image_create.fill_from_app(frontend, template)
    else:
        size = image_actions.stat(frontend, template, datastore_xml, ds_mad)
    with frontend.lock:
        datastore = frontend.store.get(Datastore, datastore_id)
        available = datastore.available()
        checked = available is not None and not (unchecked and who.is_admin)
        template.put("SIZE", size)
        megabytes = template.number("SIZE") or 0
        if checked and available is not None and megabytes > available:
            raise action("Not enough space in datastore")
        demand_unrestricted(who, template, frontend.config.names("IMAGE_RESTRICTED_ATTR"), "Template")
        who.demand(USE, datastore)
        return image_create.create(frontend, who, template, datastore).oid


@api("one.image.delete", "i?b")
def delete(frontend: Frontend, who: Caller, oid: int, force: bool = False) -> int:
    """Delete an image: its driver decides what becomes of the data."""
    image = frontend.store.get(Image, oid)
    locked = image.state in images.ALL_LOCKED
    if locked and not force:
        frontend.save(image)
        raise internal("Image locked, use --force flag to remove the image. Force delete may leave some files"
                       " on Datastore", oid)
    who.demand(ADMIN if locked else MANAGE, image)
    if force:
        image.template.put("FORCE_DELETE", "YES")
        frontend.save(image)
    who.extra = image.to_xml()
    images.check_deletable(image)
    image_actions.remove(frontend, image)
    return oid


@api("one.image.clone", "is?ib")
def clone(frontend: Frontend, who: Caller, oid: int, name: str, datastore_id: int = -1,
          persistent: bool = False) -> int:
    """Copy an image within datastores of one driver."""
    image = frontend.store.get(Image, oid)
    if image.type_text not in images.DISK_IMAGE_TYPES:
        raise action(f"{image.type_text} images cannot be cloned.")
    if image.snapshots.items:
        raise action("Cannot clone images with snapshots")
    datastore = frontend.store.get(Datastore, image.datastore_id if datastore_id == -1 else datastore_id)
    if datastore.type != IMAGE_DS:
        raise action("Clone only supported for IMAGE_DS Datastores")
    if datastore.ds_mad != frontend.store.get(Datastore, image.datastore_id).ds_mad:
        raise action("Clone only supported to same DS_MAD Datastores")
    available = datastore.available()
    if available is not None and image.size > available:
        raise action("Not enough space in datastore")
    who.demand(USE, image)
    who.demand(USE, datastore)
    if image.state not in (images.READY, images.USED, images.CLONE):
        raise not_allocated("image", f"Cannot clone image in state: {image.state_text}")
    template = image.template.clone()
    template.pop("ERROR", None)
    template.merge(Template.of(
        NAME=name, TYPE=image.type_text, PATH=image.source, FORMAT=image.format, FS=image.fs,
        SIZE=str(image.size), PERSISTENT="YES" if persistent else "NO"))
    made = image_create.create(frontend, who, template, datastore, cloning=image.oid)
    who.extra = ""
    return made.oid


@api("one.image.enable", "ib")
def enable(frontend: Frontend, who: Caller, oid: int, on: bool) -> int:
    """READY and DISABLED; also the way out of ERROR."""
    image = frontend.store.get(Image, oid)
    who.demand(MANAGE, image)
    if image.state not in (images.READY, images.DISABLED, images.ERROR):
        verb = "enable" if on else "disable"
        raise internal(f"Could not {verb} image: Image cannot be in state {image.state_text}.")
    image.state = images.READY if on else images.DISABLED
    frontend.save(image)
    return oid


@api("one.image.persistent", "ib")
def persistent(frontend: Frontend, who: Caller, oid: int, on: bool) -> int:
    """Switch persistency; no driver is asked."""
    image = frontend.store.get(Image, oid)
    who.demand(MANAGE, image)
    if image.persistent == on:
        return oid
    if image.type_text in images.FILE_TYPES:
        raise action("KERNEL, RAMDISK and CONTEXT must be non-persistent")
    datastore = frontend.store.get(Datastore, image.datastore_id)
    conf = frontend.config.driver_conf("DS_MAD_CONF", datastore.ds_mad) or {}
    if conf.get("PERSISTENT_ONLY", "NO").upper() == "YES" and not on:
        raise internal("This Datastore only accepts persistent images.")
    verb = "persistent" if on else "non-persistent"
    if image.state in (*images.IN_USE, images.CLONE):
        raise internal(f"Could not make image {verb}: Image cannot be in state {image.state_text}.")
    if not on and image.snapshots.items:
        raise internal(f"Could not make image {verb}: Image has snapshots.")
    image.persistent = on
    frontend.save(image)
    return oid


def _snapshot_target(frontend: Frontend, who: Caller, oid: int, verb: str) -> Image:
    image = frontend.store.get(Image, oid)
    who.demand(MANAGE, image)
    if image.type_text not in ("OS", "DATABLOCK"):
        raise action("IMAGES of type KERNEL, RAMDISK, BACKUP, FILESYSTEM and CONTEXT does not have"
                     " snapshots.")
    if image.state != images.READY:
        raise action(f"Cannot {verb} snapshot in state {image.state_text}")
    return image


@api("one.image.snapshotdelete", "ii")
def snapshotdelete(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Delete a snapshot of an image no VM uses."""
    image = _snapshot_target(frontend, who, oid, "delete")
    image.snapshots.check_delete(number, disk=False)
    image_actions.snapshot(frontend, image, "delete", number)
    return oid


def _existing(snapshots: Snapshots, number: int) -> None:
    if snapshots.find(number) is None:
        raise ApiError(Code.ACTION, "Snapshot does not exist")


@api("one.image.snapshotrevert", "ii")
def snapshotrevert(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Go back to a snapshot."""
    image = _snapshot_target(frontend, who, oid, "revert to")
    _existing(image.snapshots, number)
    image_actions.snapshot(frontend, image, "revert", number)
    return oid


@api("one.image.snapshotflatten", "ii")
def snapshotflatten(frontend: Frontend, who: Caller, oid: int, number: int) -> int:
    """Make a snapshot the image and drop all others."""
    image = _snapshot_target(frontend, who, oid, "flatten")
    _existing(image.snapshots, number)
    image_actions.snapshot(frontend, image, "flatten", number)
    return oid
