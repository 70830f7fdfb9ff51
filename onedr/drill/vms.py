"""A drill's images and VMs at this site:
tagged, isolated from production, and read back before anything is started.
"""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onedr.drill import drill_networks
from onedr.drill import plan as drill_plan
from onedr.failover import recreate_vms
from onedr.failover.target_site import Site
from onedr.model import names, template
from onedr.model.errors import OneDRError
from onedr.model.records import ImageFacts, ImageRecord
from onedr.model.types import MIB
from onedr.opennebula import image_template, vm_template
from onedr.opennebula.api import attributes
from onedr.opennebula.nics import Network, of_template
from onedr.opennebula.objects import CDROM
from onedr.replication.inventory import VmItem

# of a VM that was recovered
_ORIGIN = (vm_template.ORIGIN, "DR_ORIGIN_SITE", "DR_ORIGIN_VM", vm_template.START_PENDING)


def register_clone(site: Site, tag: str, image: ImageFacts, owner: VmItem) -> int:
    """Register the clone of a copy as a persistent image of the original type.

    Returns its id.
    """
    disk = next(disk for disk in owner.record.disks if (disk.rbd or "").endswith(f"/{image.name}"))
    body = image.image.body if image.image is not None else None
    kind = "OS" if disk.disk_id == 0 else "DATABLOCK"
    own: template.Pairs = ()
    if isinstance(body, ImageRecord):
        kind, own = (
            image_template.image_type(body.type),
            template.without(body.template, "DR_PROTECT", vm_template.DRILL),
        )
    shared = kind == image_template.image_type(CDROM)  # several VMs may use one
    ending = f"-{owner.record.vm_id}-disk-{disk.disk_id}"
    name = image_template.fitting_name(f"drill-{owner.record.name}", ending)
    source = f"{site.pool.access.pool}/{names.drill_clone(tag, image.name)}"
    described = image_template.image_description(name, kind, not shared, source, -(-image.size // MIB), "")
    mark = (("DR_PROTECT", "NO"), (vm_template.DRILL, tag))
    image_id = site.frontend.allocate_image((*described, *mark), site.datastore_id)
    site.frontend.update_image(image_id, (*image_template.portable_image(own), *mark))
    return image_id


def create_drill_vm(site: Site, tag: str, item: VmItem, images: dict[str, int]) -> int:
    """Create a drill's VM on hold. `images`: the drill's image ids by RBD name of the disk they stand for.
    Returns its id.

    Reads back its tag and NICs. Raises OneDRError when a NIC is in another network or has an address of
    production's.
    """
    standard = site.settings.drill_network
    record = drill_plan.drill_record(recreate_vms.with_secrets(site, item), site.counterparts, standard)
    networks = {
        network.name: Network(network.network_id, network.name)  # no range: no address is requested
        for nic in of_template(item.record.template)
        if (network := drill_networks.of_nic(nic, site.counterparts, standard)) is not None
    }
    image_ids = {
        disk.disk_id: images[name] for disk in record.disks
        if disk.protected and (name := str(disk.rbd).rpartition("/")[2]) in images
    }
    mapping = site.counterparts.mapping
    apart = replace(
        site.counterparts, networks=networks, network_map={},
        mapping=mapping.without("networks") if mapping is not None else None,
    )
    built = vm_template.recreate(record, item.origin, item.envelope.site, image_ids, apart, False)
    for warning in (*built.warnings, *item.warnings):
        site.warn(item.origin, warning)
    mark = (("DR_PROTECT", "NO"), (vm_template.DRILL, tag), (drill_plan.DRILL_OF, item.origin))
    vm_id = site.frontend.allocate_vm((*template.without(built.template, *_ORIGIN), *mark))
    site.frontend.replace_vm(vm_id, (*template.without(built.user_template, *_ORIGIN), *mark))
    _read_back(site, tag, item, vm_id, networks)
    return vm_id


def _read_back(site: Site, tag: str, item: VmItem, vm_id: int, networks: Mapping[str, Network]) -> None:
    vm = site.frontend.vm(vm_id)
    if template.get(attributes(vm, "USER_TEMPLATE"), vm_template.DRILL) != tag:
        raise OneDRError(
            f"VM {vm_id} was created without its tag {vm_template.DRILL}={tag}; remove it with onevm "
            "terminate --hard"
        )
    of_production = {
        template.get(nic, key) for nic in of_template(item.record.template) for key in ("IP", "MAC")
    } - {""}
    for kind in ("NIC", "NIC_ALIAS"):
        for nic in template.vectors(attributes(vm), kind):
            if template.get(nic, "NETWORK_ID") not in {str(each.network_id) for each in networks.values()}:
                raise OneDRError(
                    f"VM {vm_id} has a NIC in network {template.get(nic, 'NETWORK')}, not in "
                    f"{' or '.join(sorted(networks))}"
                )
            same = {template.get(nic, "IP"), template.get(nic, "MAC")} & of_production
            if same:
                raise OneDRError(
                    f"VM {vm_id} was given {', '.join(same)}, which belongs to production; it is not started"
                )


def vm_address(site: Site, vm_id: int) -> str:
    """The first IPv4 address of a VM here; empty when it has none."""
    found = (template.get(nic, "IP") for nic in template.vectors(attributes(site.frontend.vm(vm_id)), "NIC"))
    return next(filter(None, found), "")


def vm_nics(site: Site, vm_id: int) -> list[dict[str, str]]:
    """Network, address and MAC of each NIC of a VM here."""
    return [
        {key.lower(): template.get(nic, key) for key in ("NETWORK", "IP", "MAC")}
        for nic in template.vectors(attributes(site.frontend.vm(vm_id)), "NIC")
    ]
