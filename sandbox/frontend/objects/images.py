"""Image objects: their XML, what a new one is made of, and how VMs take and give them back."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.errors import action, internal, not_allocated
from sandbox.frontend.objects.pool_object import StatefulObject, ids_xml
from sandbox.frontend.objects.snapshots import Snapshots
from sandbox.frontend.objects.states import (
    DISK_TYPES,
    IMAGE_STATE_TEXT,
    IMAGE_TYPE_TEXT,
    IMAGE_TYPES,
)
from sandbox.frontend.objects.templates import Template, Vector, cdata

# The numbers of IMAGE_STATES.
READY, USED, DISABLED, LOCKED, ERROR, CLONE, DELETE, USED_PERS, LOCKED_USED, LOCKED_USED_PERS = range(1, 11)
IN_USE = (USED, USED_PERS, LOCKED_USED, LOCKED_USED_PERS)
ALL_LOCKED = (LOCKED, LOCKED_USED, LOCKED_USED_PERS)
DISK_IMAGE_TYPES = ("OS", "CDROM", "DATABLOCK")
SAVE_AS = "save_as"
"""FORMAT of the target of a disk save-as until the disk is copied into it."""
FILE_TYPES = ("KERNEL", "RAMDISK", "CONTEXT")


@dataclass
class Image(StatefulObject):
    """An image."""

    KIND: ClassVar[str] = "image"
    ROOT: ClassVar[str] = "IMAGE"
    LABEL: ClassVar[str] = "image"

    type: int = 0
    disk_type: int = 0
    persistent: bool = False
    regtime: int = 0
    modtime: int = 0
    source: str = ""
    path: str = ""
    format: str = ""
    fs: str = ""
    size: int = 0
    state: int = LOCKED
    prev_state: int = 0
    cloning_ops: int = 0
    cloning_id: int = -1
    target_snapshot: int = -1
    datastore_id: int = 0
    datastore: str = ""
    vms: list[int] = field(default_factory=list)
    clones: list[int] = field(default_factory=list)
    snapshots: Snapshots = field(default_factory=Snapshots)

    def __post_init__(self) -> None:
        if isinstance(self.snapshots, dict):
            self.snapshots = Snapshots(**self.snapshots)

    def to_xml(self) -> str:
        return (
            f"<IMAGE>{self.head_xml()}<TYPE>{self.type}</TYPE><DISK_TYPE>{self.disk_type}</DISK_TYPE>"
            f"<PERSISTENT>{int(self.persistent)}</PERSISTENT><REGTIME>{self.regtime}</REGTIME>"
            f"<MODTIME>{self.modtime}</MODTIME><SOURCE>{cdata(self.source)}</SOURCE><PATH>{cdata(self.path)}</PATH>"
            f"<FORMAT>{cdata(self.format)}</FORMAT><FS>{cdata(self.fs)}</FS><SIZE>{self.size}</SIZE>"
            f"<STATE>{self.state}</STATE><PREV_STATE>{self.prev_state}</PREV_STATE>"
            f"<RUNNING_VMS>{len(self.vms)}</RUNNING_VMS><CLONING_OPS>{self.cloning_ops}</CLONING_OPS>"
            f"<CLONING_ID>{self.cloning_id}</CLONING_ID><TARGET_SNAPSHOT>{self.target_snapshot}</TARGET_SNAPSHOT>"
            f"<DATASTORE_ID>{self.datastore_id}</DATASTORE_ID><DATASTORE>{self.datastore}</DATASTORE>"
            f"{ids_xml('VMS', self.vms)}{ids_xml('CLONES', self.clones)}<APP_CLONES></APP_CLONES>"
            f"{self.template.to_xml()}{self.snapshots.to_xml()}"
            "<BACKUP_INCREMENTS></BACKUP_INCREMENTS><BACKUP_DISK_IDS></BACKUP_DISK_IDS></IMAGE>")

    @property
    def type_text(self) -> str:
        """Name of the type."""
        return IMAGE_TYPE_TEXT[self.type]

    @property
    def state_text(self) -> str:
        """Name of the state, as messages show it."""
        return IMAGE_STATE_TEXT[self.state]

    @property
    def saving(self) -> bool:
        """Whether this is the target of a disk save-as that still runs."""
        return self.template.text("SAVE_AS_HOT").upper() == "YES"

    def changed(self) -> bool:
        return self.state != self.prev_state

    def event(self) -> tuple[str, str]:
        return (f"IMAGE/{self.state_text}",
                f"<HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>IMAGE</HOOK_OBJECT><STATE>{self.state_text}</STATE>"
                f"<RESOURCE_ID>{self.oid}</RESOURCE_ID>{self.to_xml()}")

    def settle(self) -> None:
        self.prev_state = self.state

    def unlock(self) -> None:
        """Leave LOCKED (or ERROR) for what the VMs that wait make of it."""
        if self.state == LOCKED_USED_PERS:
            self.state = USED_PERS
        elif self.state == LOCKED_USED:
            self.state = USED
        else:
            self.state = READY

    def acquire(self, vm: int, attach: bool) -> None:
        """A VM takes the image, or learns why not."""
        if self.type_text not in (*DISK_IMAGE_TYPES, "FILESYSTEM"):
            raise internal(f"Image {self.oid} ({self.name}) of type {self.type_text} cannot be used as DISK.")
        shareable = self.template.text("PERSISTENT_TYPE").upper() == "SHAREABLE"
        if self.state in (USED_PERS, LOCKED_USED_PERS) and not shareable:
            raise internal(f"Cannot acquire image {self.oid}, it is persistent and already in use")
        if self.state in ALL_LOCKED and attach:
            raise internal(f"Cannot acquire image {self.oid}, it is locked")
        if self.state == READY:
            self.state = USED_PERS if self.persistent else USED
        elif self.state == LOCKED:
            self.state = LOCKED_USED_PERS if self.persistent else LOCKED_USED
        elif self.state not in IN_USE:
            raise internal(f"Cannot acquire image {self.oid}, it is in state: {self.state_text}")
        if vm not in self.vms:
            self.vms.append(vm)

    def release(self, vm: int, failed: bool) -> bool:
        """A VM gives the image back; False when it did not hold it."""
        if self.state not in IN_USE:
            return False
        if vm in self.vms:
            self.vms.remove(vm)
        if self.state in (USED_PERS, LOCKED_USED_PERS):
            self.modtime = int(time.time())
            if failed:
                self.state = ERROR
                return True
        if not self.vms and not self.cloning_ops:
            self.state = READY if self.state in (USED, USED_PERS) else LOCKED
        return True

    def release_clone(self, clone: int) -> None:
        """A clone operation of this image ended."""
        if clone in self.clones:
            self.clones.remove(clone)
        self.cloning_ops = max(0, self.cloning_ops - 1)
        if not self.cloning_ops and not self.vms and self.state in (USED, CLONE):
            self.state = READY

    def fill_disk(self, disk: Vector, inherit: list[str], default_prefix: str) -> str:
        """Copy what a DISK takes from its image; returns the device prefix."""
        prefix = disk.get("DEV_PREFIX", "")
        if not prefix and self.type_text != "CDROM":
            prefix = self.template.text("DEV_PREFIX") or default_prefix
            disk["DEV_PREFIX"] = prefix
        disk |= {"IMAGE": self.name, "IMAGE_ID": str(self.oid), "SOURCE": self.source,
                 "ORIGINAL_SIZE": str(self.size), "IMAGE_STATE": str(self.state),
                 "DISK_SNAPSHOT_TOTAL_SIZE": str(self.snapshots.total_size())}
        disk.setdefault("SIZE", str(self.size))
        if self.format:
            disk |= {"DRIVER": self.format.lower(), "FORMAT": self.format.lower()}
        self._fill_access(disk)
        if self.state in ALL_LOCKED:
            disk["CLONING"] = "YES"
        kind = next(name for name, number in DISK_TYPES.items() if number == self.disk_type)
        disk["TYPE"] = ("RBD_CDROM" if kind == "RBD" else "CDROM") if self.type_text == "CDROM" else kind
        if self.template.text("TARGET"):
            disk.setdefault("TARGET", self.template.text("TARGET"))
        for name in inherit:
            if self.template.text(name):
                disk.setdefault(name, self.template.text(name))
        return prefix

    def _fill_access(self, disk: Vector) -> None:
        if self.type_text == "CDROM" or self.template.text("PERSISTENT_TYPE").upper() == "IMMUTABLE":
            disk |= {"SAVE": "NO", "CLONE": "NO", "READONLY": "YES"}
            return
        disk.setdefault("READONLY", self.template.text("READONLY") or "NO")
        if self.persistent:
            disk |= {"PERSISTENT": "YES", "CLONE": "NO", "SAVE": "YES"}
            if self.template.text("PERSISTENT_TYPE").upper() == "SHAREABLE":
                disk["SHAREABLE"] = "YES"
        else:
            disk |= {"CLONE": "YES", "SAVE": "NO"}


def fill_new(image: Image, template: Template, driver: str, default_prefix: str) -> None:
    """Take type, size, source and so on out of the user's template; refuse what does not fit together."""
    kind = template.take("TYPE", "OS").upper()
    if kind not in IMAGE_TYPES:
        raise not_allocated("image", "Unknown type in template.")
    image.type = IMAGE_TYPES[kind]
    persistent = template.take("PERSISTENT").upper() in ("YES", "1", "TRUE")
    if kind in ("OS", "DATABLOCK"):
        image.persistent = persistent
        if not template.text("DEV_PREFIX"):
            template.put("DEV_PREFIX", default_prefix)
    else:
        template.pop("DEV_PREFIX", None)
    image.size = Template.of(SIZE=template.take("SIZE")).number("SIZE") or 0
    image.fs = template.take("FS")
    template.pop("DRIVER", None)
    image.path, image.source = template.take("PATH"), template.take("SOURCE")
    image.format = template.take("FORMAT")
    template.pop("TM_MAD", None)
    image.template = template
    if image.saving:
        image.format = SAVE_AS
    elif image.cloning_id == -1:
        _choose_format(image, kind, driver)


def _choose_format(image: Image, kind: str, driver: str) -> None:
    if image.source:
        if image.path:
            raise not_allocated("image", "PATH and SOURCE cannot be both set.")
        if not image.format:
            raise not_allocated("image", "SOURCE needs FORMAT to be set.")
    elif image.path:
        image.format = ""
    elif kind in ("OS", "DATABLOCK"):
        if driver:
            image.template.put("DRIVER", driver)
        image.format = driver or image.format or "raw"
    else:
        raise not_allocated("image", "No PATH nor SOURCE in template.")


def check_deletable(image: Image) -> None:
    """Raise while VMs or clone operations use the image."""
    if image.state == CLONE:
        raise action(f"Cannot delete image. There are {image.cloning_ops} active clone operations.")
    if image.state in IN_USE or image.vms and image.state == READY:
        raise action(f"Cannot delete image. There are {len(image.vms)} VMs using it.")
