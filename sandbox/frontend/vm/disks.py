"""Disks of a VM: taken from images at creation, named, and checked against the system datastore."""
from __future__ import annotations

import string

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.errors import ApiError, action, internal
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.templates import Vector, leading_int
from sandbox.frontend.objects.users import USE, Caller, User
from sandbox.frontend.objects.vms import VM

INHERIT_DATASTORE = "INHERIT_DATASTORE_ATTR"
INHERIT_IMAGE = "INHERIT_IMAGE_ATTR"
_CDROM_PREFIX = {"q35": "sd"}


def acquire(
    frontend: Frontend, who: Caller, vm: VM, disk: Vector, number: int, attach: bool
) -> tuple[str, str]:
    """Take the image of a disk (or check a volatile one); gives type and device prefix for the target."""
    disk["DISK_ID"] = str(number)
    image = image_of(frontend, who, disk)
    if image is None:
        return "DATABLOCK", _volatile(frontend, disk)
    who.demand(USE, image)
    image.acquire(vm.oid, attach)
    frontend.save(image)
    try:
        _check_size(image, disk)
    except ApiError:
        release_image(frontend, image.oid, vm.oid)
        raise
    prefix = image.fill_disk(disk, frontend.config.names(INHERIT_IMAGE),
                             frontend.config.default_prefix("DEFAULT_DEVICE_PREFIX"))
    datastore = frontend.store.get(Datastore, image.datastore_id)
    datastore.fill_disk(disk, frontend.config.names(INHERIT_DATASTORE))
    if disk.get("SERIAL") == "auto":
        disk["SERIAL"] = f"{vm.oid}-{number}"
    if image.snapshots.items and image.type_text in ("OS", "DATABLOCK"):
        vm.snapshots[str(number)] = image.snapshots.copy(number)
    return image.type_text, prefix


def image_of(frontend: Frontend, who: Caller, disk: Vector) -> Image | None:
    """The image a DISK names by id or by name; None for a volatile disk."""
    if "IMAGE_ID" in disk:
        oid = leading_int(disk["IMAGE_ID"])
        image = frontend.store.find(Image, -1 if oid is None else oid)
        if image is None:
            raise internal(f"Image with ID: {disk['IMAGE_ID']} does not exist")
        return image
    if "IMAGE" not in disk:
        return None
    uid: int | None = who.uid
    if "IMAGE_UID" in disk:
        uid = leading_int(disk["IMAGE_UID"])
    elif "IMAGE_UNAME" in disk:
        user = frontend.store.by_name(User, disk["IMAGE_UNAME"])
        uid = None if user is None else user.oid
    image = None if uid is None else frontend.store.by_name(Image, disk["IMAGE"], uid)
    if image is None:
        raise internal(f"User {who.uid} does not own an image with name: {disk['IMAGE']} . Set IMAGE_UNAME or"
                       " IMAGE_UID of owner in DISK.")
    return image


def _volatile(frontend: Frontend, disk: Vector) -> str:
    kind = disk.get("TYPE", "")
    if kind.upper() not in ("FS", "SWAP"):
        raise internal(f"Unknown disk type {kind.upper()}")
    if (leading_int(disk.get("SIZE", "")) or 0) <= 0:
        raise internal("SIZE attribute must be a positive integer value.")
    disk.setdefault("DEV_PREFIX", frontend.config.default_prefix("DEFAULT_DEVICE_PREFIX"))
    return disk["DEV_PREFIX"]


def _check_size(image: Image, disk: Vector) -> None:
    wanted = leading_int(disk.get("SIZE", ""))
    if wanted is None or wanted == image.size:
        return
    if image.persistent:
        raise internal(f"SIZE attribute is not supported for persistent image [{image.oid}].")
    if image.type_text == "CDROM":
        raise internal(f"SIZE attribute is not supported for CDROM image [{image.oid}].")
    if wanted < image.size:
        raise internal(f"SIZE of {wanted}MB is less than the image [{image.oid}] size of {image.size}MB.")


def cdrom_prefix(vm: VM) -> str:
    """Device prefix of CD-ROMs and the context disk: SATA on q35."""
    return _CDROM_PREFIX.get((vm.template.vector("OS") or {}).get("MACHINE", "q35"), "hd")


def free_target(prefix: str, used: set[str]) -> str:
    """The first free device name of a prefix."""
    for letter in string.ascii_lowercase:
        if prefix + letter not in used:
            used.add(prefix + letter)
            return prefix + letter
    raise internal("Not available target for disk")


def take_images(frontend: Frontend, who: Caller, vm: VM) -> None:
    """All disks of a new VM; on a failure those already taken are given back."""
    taken: list[int] = []
    queues: dict[str, list[tuple[str, Vector]]] = {"OS": [], "CDROM": [], "DATABLOCK": []}
    used: set[str] = set()
    for number, disk in enumerate(vm.disks):
        try:
            kind, prefix = acquire(frontend, who, vm, disk, number, attach=False)
        except ApiError as failure:
            for oid in taken:
                release_image(frontend, oid, vm.oid)
            raise internal(f"DISK {number}: {failure.text}") from failure
        if "IMAGE_ID" in disk:
            taken.append(int(disk["IMAGE_ID"]))
        if disk.get("TARGET"):
            used.add(disk["TARGET"])
        else:
            queue = "DATABLOCK" if kind == "OS" and queues["OS"] else kind
            queues[queue].append((prefix or cdrom_prefix(vm), disk))
    _name_targets(vm, queues, used)


def _name_targets(vm: VM, queues: dict[str, list[tuple[str, Vector]]], used: set[str]) -> None:
    """The OS disk first, then CD-ROMs with the context disk as the last of them, then the rest."""
    vector = vm.template.vector("CONTEXT")
    if vector is not None:
        vector["DISK_ID"] = str(len(vm.disks))
        if vector.get("TARGET"):
            used.add(vector["TARGET"])
        else:
            queues["CDROM"].append((vector.get("DEV_PREFIX") or cdrom_prefix(vm), vector))
    for kind in ("OS", "CDROM", "DATABLOCK"):
        for prefix, holder in queues[kind]:
            holder["TARGET"] = free_target(prefix, used)


def _targets(holders: list[Vector]) -> set[str]:
    return {holder["TARGET"] for holder in holders if holder.get("TARGET")}


def attach(frontend: Frontend, who: Caller, vm: VM, disk: Vector) -> Vector:
    """One more disk for an existing VM."""
    context = vm.template.vector("CONTEXT")
    numbers = [int(other["DISK_ID"]) for other in vm.disks] + ([int(context["DISK_ID"])] if context else [])
    number = max(numbers, default=-1) + 1
    used = _targets([*vm.disks, *([context] if context else [])])
    if vm.template.text("TM_MAD_SYSTEM"):
        disk["TM_MAD_SYSTEM"] = vm.template.text("TM_MAD_SYSTEM")
    _, prefix = acquire(frontend, who, vm, disk, number, attach=True)
    if not disk.get("TARGET"):
        disk["TARGET"] = free_target(prefix or cdrom_prefix(vm), used)
    elif disk["TARGET"] in used:
        if "IMAGE_ID" in disk:
            release_image(frontend, int(disk["IMAGE_ID"]), vm.oid)
        raise internal(f"Target {disk['TARGET']} is already in use.")
    disk["ATTACH"] = "YES"
    vm.template.add("DISK", disk)
    return disk


def fit_to_system(frontend: Frontend, disks: list[Vector], system: Datastore) -> None:
    """Bind disks to a system datastore: volatile ones live there, the others must know its TM driver."""
    for disk in disks:
        if "IMAGE_ID" not in disk:
            disk.setdefault("FORMAT", "raw")
            disk.setdefault("DRIVER", disk["FORMAT"])
            kind = disk["TYPE"]
            for name in ("DISK_TYPE", "POOL_NAME"):
                disk.pop(name, None)
            system.fill_disk(disk, frontend.config.names(INHERIT_DATASTORE))
            disk["TYPE"] = kind
            continue
        if disk["TM_MAD"].upper() == system.tm_mad.upper():
            continue
        datastore = frontend.store.get(Datastore, int(disk["DATASTORE_ID"]))
        suffix = "_" + system.tm_mad.upper()
        modes = {name: datastore.template.text(name + suffix)
                 for name in ("CLONE_TARGET", "LN_TARGET", "DISK_TYPE")}
        if not all(modes.values()):
            raise internal(f"Image Datastore does not support transfer mode: {system.tm_mad}")
        disk |= {**modes, "TM_MAD_SYSTEM": system.tm_mad}


def busy_disk(vm: VM) -> Vector:
    """The disk an operation is about."""
    disk = vm.disk(int(vm.operation["disk"]))
    if disk is None:
        raise action("VM disk does not exist")
    return disk


def release_images(frontend: Frontend, vm: VM, failed: bool) -> None:
    """Give back every image of a VM; `failed` leaves persistent ones in ERROR."""
    for disk in vm.disks:
        if "IMAGE_ID" in disk:
            release_image(frontend, int(disk["IMAGE_ID"]), vm.oid, failed)


def release_image(frontend: Frontend, oid: int, vm: int, failed: bool = False) -> None:
    """Give back one image."""
    image = frontend.store.find(Image, oid)
    if image is not None and image.release(vm, failed):
        frontend.save(image)
