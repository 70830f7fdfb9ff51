"""VM templates: kept, shown with what images and networks add, made into VMs."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from sandbox.frontend import shared_calls, vm_create, vm_disks, vm_nics
from sandbox.frontend.calls import api
from sandbox.frontend.context import Frontend
from sandbox.frontend.datastores import Datastore
from sandbox.frontend.errors import ApiError, internal, unauthorized, unsupported
from sandbox.frontend.images import Image
from sandbox.frontend.objects import PoolObject
from sandbox.frontend.templates import Template, Vector
from sandbox.frontend.users import MANAGE, USE, Caller


@dataclass
class VMTemplate(PoolObject):
    """A VM template."""

    KIND: ClassVar[str] = "vmtemplate"
    ROOT: ClassVar[str] = "VMTEMPLATE"
    LABEL: ClassVar[str] = "virtual machine template"

    regtime: int = 0

    def to_xml(self) -> str:
        return f"<VMTEMPLATE>{self.head_xml()}<REGTIME>{self.regtime}</REGTIME>{self.template.to_xml()}</VMTEMPLATE>"


shared_calls.add_pool("template", VMTemplate)
shared_calls.add_update("template", VMTemplate, "VM_RESTRICTED_ATTR")
shared_calls.add_rename("template", VMTemplate, "TEMPLATE")
shared_calls.add_ownership("template", VMTemplate)
shared_calls.add_lock("template", VMTemplate)


@api("one.template.info", "i?bb")
def info(frontend: Frontend, who: Caller, oid: int, extended: bool = False, decrypt: bool = False) -> str:
    """A template; extended shows disks and NICs as an instance would get them."""
    found = frontend.store.get(VMTemplate, oid)
    who.demand(USE, found, ignore_lock=True)
    if not extended:
        return found.to_xml()
    shown = VMTemplate(**{**vars(found), "template": found.template.clone()})
    for number, disk in enumerate(shown.template.vectors("DISK")):
        disk["DISK_ID"] = str(number)
        _extend_disk(frontend, who, disk)
    for nic in shown.template.vectors("NIC"):
        try:
            network = vm_nics.network_of(frontend, who, nic)
        except ApiError:
            continue
        nic |= {"NETWORK": network.name, "NETWORK_ID": str(network.oid)}
    return shown.to_xml()


def _extend_disk(frontend: Frontend, who: Caller, disk: Vector) -> None:
    try:
        image = vm_disks.image_of(frontend, who, disk)
    except ApiError:
        return
    if isinstance(image, Image):
        image.fill_disk(disk, frontend.config.names(vm_disks.INHERIT_IMAGE),
                        frontend.config.default_prefix("DEFAULT_DEVICE_PREFIX"))
        frontend.store.get(Datastore, image.datastore_id).fill_disk(
            disk, frontend.config.names(vm_disks.INHERIT_DATASTORE))


@api("one.template.allocate", "s")
def allocate(frontend: Frontend, who: Caller, text: str) -> int:
    """Keep a template."""
    template = shared_calls.read_template(text)
    restricted = template.restricted(frontend.config.names("VM_RESTRICTED_ATTR"))
    if restricted and not who.is_admin:
        raise unauthorized(who.uid, f"Template includes a restricted attribute {restricted}")
    return _keep(frontend, who, template).oid


def _keep(frontend: Frontend, who: Caller, template: Template) -> VMTemplate:
    oid = frontend.store.peek_id("vmtemplate")
    name = template.take("NAME") or f"template-{oid}"
    taken = frontend.store.by_name(VMTemplate, name, who.uid)
    if taken is not None:
        raise internal(f"NAME is already taken by TEMPLATE {taken.oid}.")
    made = VMTemplate(**shared_calls.owned(VMTemplate, who, oid), name=name, template=template,
                      regtime=int(time.time()))
    frontend.store.next_id("vmtemplate")
    frontend.store.put(made)
    who.extra = made.to_xml()
    return made


@api("one.template.clone", "is?b")
def clone(frontend: Frontend, who: Caller, oid: int, name: str, images: bool = False) -> int:
    """A copy under another name, without copies of the images."""
    if images:
        raise unsupported("cloning a template together with its images")
    found = frontend.store.get(VMTemplate, oid)
    who.demand(USE, found)
    template = found.template.clone()
    template.put("NAME", name)
    return _keep(frontend, who, template).oid


@api("one.template.delete", "i?b")
def delete(frontend: Frontend, who: Caller, oid: int, images: bool = False) -> int:
    """Remove a template; its images stay."""
    if images:
        raise unsupported("deleting a template together with its images")
    found = frontend.store.get(VMTemplate, oid)
    who.demand(MANAGE, found)
    who.extra = found.to_xml()
    frontend.store.drop(found)
    return oid


@api("one.template.instantiate", "i?sbsb")
def instantiate(frontend: Frontend, who: Caller, oid: int, name: str = "", hold: bool = False, extra: str = "",
                persistent: bool = False) -> int:
    """Make a VM from a template, with attributes of the caller on top."""
    if persistent:
        raise unsupported("instantiating as persistent")
    found = frontend.store.get(VMTemplate, oid)
    who.demand(USE, found)
    template = found.template.clone()
    if extra:
        given = shared_calls.read_template(extra)
        restricted = given.restricted(frontend.config.names("VM_RESTRICTED_ATTR"))
        if restricted and not who.is_admin:
            raise unauthorized(who.uid, f"VM Template includes a restricted attribute {restricted}")
        template.merge(given)
    template.put("TEMPLATE_ID", str(oid))
    template.put("TEMPLATE_NAME", found.name)
    if name:
        template.put("NAME", name)
    vm = vm_create.create(frontend, who, template, hold, checked=True)
    return vm.oid
