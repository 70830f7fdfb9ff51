"""NICs, aliases and security groups of VMs here: of one that comes home, and of a new one."""
from __future__ import annotations

from onedr.failover import nic_changes
from onedr.failover.powered_off import settle
from onedr.failover.target_site import Site
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.template import Pairs
from onedr.opennebula import mapped, nics
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes
from onedr.replication.inventory import VmItem


def return_nics(site: Site, item: VmItem, vm_id: int) -> list[str]:
    """Plug and unplug, then give each NIC its security groups. Reads back. Returns what was done."""
    vm = site.frontend.vm(vm_id)
    found = nic_changes.changes(attributes(vm), item.record.template, site.counterparts)
    if found.unclear:
        site.warn(
            item.origin,
            f"its NICs were changed at the other site; VM {vm_id} keeps those it had here: {found.unclear}",
        )
    elif (found.plug or found.aliases or found.unplug) and opennebula_objects.vm_state(vm) != "POWEROFF":
        site.warn(
            item.origin,
            f"its NICs were changed at the other site; VM {vm_id} keeps its own: it is not powered off",
        )
        return []
    for nic_id in found.unplug:
        site.frontend.call("vm.detachnic", vm_id, nic_id)
        settle(site.frontend, vm_id)
    for nic in found.plug:
        _plug(site, item, vm_id, "NIC", nic)
    for alias in found.aliases:
        _plug(site, item, vm_id, "NIC_ALIAS", alias, (("PARENT", _parent(site, item, vm_id, alias)),))
    left = nic_changes.changes(
        attributes(site.frontend.vm(vm_id)), item.record.template, site.counterparts)
    if not found.unclear and (left.plug or left.aliases or left.unplug):
        raise OneDRError(
            f"VM {vm_id} has not the NICs it had at the other site although they were changed; onevm show "
            f"{vm_id}"
        )
    return [
        *(f"NIC {nic_id} unplugged" for nic_id in found.unplug),
        *(f"NIC on {template.get(nic, 'NETWORK')} plugged in" for nic in found.plug),
        *(f"NIC alias on {template.get(alias, 'NETWORK')} plugged in" for alias in found.aliases),
        *_groups(site, item, vm_id),
    ]


def _plug(site: Site, item: VmItem, vm_id: int, kind: str, nic: Pairs, more: Pairs = ()) -> None:
    warnings: list[str] = []
    owner = mapped.owner_of(item.record, site.counterparts.mapping).owner
    built = nics.nic(nic, site.counterparts, owner, warnings)
    site.frontend.call("vm.attachnic", vm_id, template.to_xml(((kind, (*built, *more)),)))
    settle(site.frontend, vm_id)
    for text in warnings:
        site.warn(item.origin, text)


def _parent(site: Site, item: VmItem, vm_id: int, alias: Pairs) -> str:
    own = attributes(site.frontend.vm(vm_id))
    found = nic_changes.parent_of(alias, own, item.record.template, site.counterparts)
    if not found:
        name = template.get(alias, "NAME")
        raise OneDRError(f"VM {vm_id} has no NIC for its alias {name} of the other site; onevm show {vm_id}")
    return found


def _groups(site: Site, item: VmItem, vm_id: int) -> list[str]:
    """What cannot follow is said with the rest (not_followed)."""
    owner = mapped.owner_of(item.record, site.counterparts.mapping).owner

    def wanted() -> nic_changes.Groups:
        own = attributes(site.frontend.vm(vm_id))
        return nic_changes.groups(own, item.record.template, site.counterparts, owner)

    found = wanted()
    for nic_id, group in found.attach:
        site.frontend.call("vm.attachsg", vm_id, nic_id, group)
    for nic_id, group in found.detach:
        site.frontend.call("vm.detachsg", vm_id, nic_id, group)
    if (found.attach or found.detach) and ((left := wanted()).attach or left.detach):
        raise OneDRError(
            f"VM {vm_id} has not the security groups it had at the other site although they were changed; "
            f"onevm show {vm_id}"
        )
    return [
        *(f"security group {group} on NIC {nic_id}" for nic_id, group in found.attach),
        *(f"security group {group} off NIC {nic_id}" for nic_id, group in found.detach),
    ]


def keep_to_asked(frontend: FrontEnd, vm_id: int, asked: Pairs) -> None:
    """Take off a new VM's NICs the security groups that the networks here gave it besides its own. Reads
    back. Raises OneDRError: the VM would be more open than it was.
    """
    added = nic_changes.added(asked, attributes(frontend.vm(vm_id)))
    for nic_id, group in added:
        frontend.call("vm.detachsg", vm_id, nic_id, group)
    if added and nic_changes.added(asked, attributes(frontend.vm(vm_id))):
        raise OneDRError(
            f"VM {vm_id} has security groups that it did not have at the other site although they were taken "
            f"off; onevm sg-detach {vm_id}"
        )
