"""A small production at site A, whole at site B: what most stories begin with."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import workload as w

if TYPE_CHECKING:
    from beds import Sites

VMS = ("db", "web", "idle")


@dataclass
class Production:
    """By name, at site A: ids of VMs and images, RBD names of each VM's protected disks."""

    sites: Sites
    vms: dict[str, int] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)
    disks: dict[str, list[str]] = field(default_factory=dict)

    @property
    def all_disks(self) -> list[str]:
        """Of all its VMs."""
        return [disk for disks in self.disks.values() for disk in disks]


def produce(sites: Sites, vms: Collection[str] = VMS, more: Mapping[str, str] | None = None) -> Production:
    """VMs of these names: `db` writes to a disk of its own, `web` to a clone of `base`, `idle` is off.

    `more`: what is in a VM's template besides. Returns when site B has complete copies, the records, and a
    recovery point of each, and the guests write.
    """
    a, made = sites.a, Production(sites)
    if "web" in vms:
        made.images["base"] = w.create_image(a, "base", persistent=False, wait=False)
    made.images.update({name: w.create_image(a, f"{name}-disk", wait=False) for name in vms if name != "web"})
    for image in made.images.values():
        a.wait_image(image)
    for name in vms:
        image = made.images["base" if name == "web" else name]
        made.vms[name] = w.create_vm(a, name, [image], (more or {}).get(name, ""), wait=False)
    for vm in made.vms.values():
        a.wait_vm(vm)
    if "idle" in vms:
        a.api.vm.action("poweroff-hard", made.vms["idle"])
        a.wait_vm(made.vms["idle"], "POWEROFF")
    _wait_whole(made)
    return made


def _wait_whole(made: Production) -> None:
    a, b = made.sites.a, made.sites.b
    with w.open_pool(b) as there:
        for name, vm in made.vms.items():
            w.wait_recorded(a, vm, there)
            made.disks[name] = w.vm_disks(a, vm)
    w.wait_complete(a, made.all_disks)
    w.wait_point(b, list(made.vms))
    for name in made.vms:
        if name != "idle":
            w.wait_writing(a, made.vms[name])
