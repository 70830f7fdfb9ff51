"""A VM that left from here takes its disks back: its own object goes on, with what was changed at the other site."""
from __future__ import annotations

from onedr import template
from onedr.errors import OneDRError
from onedr.model import VmRecord
from onedr.ops.site import Site, give
from onedr.policy import definition, vm_template
from onedr.policy.inventory import VmItem
from onedr.policy.plan import PeerVm
from onedr.ports.frontend import attributes

_CAPACITY = ("CPU", "VCPU", "MEMORY")


def take_back(site: Site, item: VmItem, home: PeerVm, starts: bool) -> str:
    """Unlock it and bring name, owner, permissions, user attributes and capacity up to date. Reads back.

    It stays marked as held until it runs, or until here when it shall not: a run that dies in between finds it again.
    """
    vm_id, frontend = home.vm_id, site.frontend
    if frontend.vm(vm_id).find("LOCK") is not None:
        frontend.call("vm.unlock", vm_id)
    record = item.record
    found = frontend.vm(vm_id)
    if found.findtext("NAME") != record.name:
        frontend.call("vm.rename", vm_id, record.name)
    give(site, "vm", vm_id, record.owner, record.group, record.permissions, item.origin)
    _user_attributes(site, record, vm_id)
    _capacity(site, record, vm_id, item.origin)
    if _nics(record.template) != _nics(attributes(found)):
        site.warn(item.origin, f"its NICs were changed at the other site; VM {vm_id} keeps those it had here")
    if not starts:
        frontend.update_vm(vm_id, ((vm_template.HELD, ""),))
    if frontend.vm(vm_id).find("LOCK") is not None:
        raise OneDRError(f"VM {vm_id} is still locked although it was unlocked; onevm unlock {vm_id}")
    return f"VM {vm_id} has its disks back"


def _user_attributes(site: Site, record: VmRecord, vm_id: int) -> None:
    """What the other site's VM has and ours has not, or has otherwise; what was taken off there stays here."""
    own = attributes(site.frontend.vm(vm_id), "USER_TEMPLATE")
    changed = tuple(
        (key, value) for key, value in record.user_template
        if not key.startswith(("DR_ORIGIN", "ONEDR_")) and key not in vm_template.MARKS and (key, value) not in own
    )
    if changed:
        site.frontend.update_vm(vm_id, changed)


def _capacity(site: Site, record: VmRecord, vm_id: int, origin: str) -> None:
    vm = site.frontend.vm(vm_id)
    own = attributes(vm)
    wanted = tuple((key, template.get(record.template, key)) for key in _CAPACITY if template.get(record.template, key))
    if all(template.get(own, key) == value for key, value in wanted):
        return
    if definition.vm_state(vm) not in ("POWEROFF", "UNDEPLOYED"):
        state = definition.vm_state(vm)
        site.warn(origin, f"its capacity was changed at the other site; VM {vm_id} keeps its own, for it is {state}")
        return
    site.frontend.call("vm.resize", vm_id, template.to_xml(wanted), False)


def _nics(pairs: template.Pairs) -> list[str]:
    """Networks of a VM's NICs, in order."""
    return [template.get(nic, "NETWORK") for nic in template.vectors(pairs, "NIC")]
