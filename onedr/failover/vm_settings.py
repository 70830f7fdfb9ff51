"""Settings of a VM that comes home, as they are there: boot order, context, graphics, features and so on."""
from __future__ import annotations

from onedr.failover import peer_vms, setting_changes
from onedr.failover.setting_changes import Change
from onedr.failover.target_site import Site
from onedr.model import template
from onedr.model.errors import FrontEndError
from onedr.model.records import VmRecord
from onedr.opennebula.api import APPEND, REPLACE
from onedr.opennebula.vms import PeerVm
from onedr.replication.inventory import VmItem


def return_settings(site: Site, item: VmItem, record: VmRecord, vm_id: int) -> list[str]:
    """After its disks and NICs, which the boot order names, and before its user's attributes, which take off
    what stood for a value. Reads back. Returns what was done; what oned does not take is a warning, and the
    VM has what it had here.
    """
    vm = now(site, vm_id)
    wanted = _following(vm, record, site)
    if not wanted:
        return []
    asked = setting_changes.update(vm.template, wanted)
    refusal = ""
    try:
        if asked.stand_ins:
            site.frontend.update_vm(vm_id, asked.stand_ins)
        mode = REPLACE if asked.replaces else APPEND
        site.frontend.call("vm.updateconf", vm_id, template.to_xml(asked.sections), mode)
    except FrontEndError as error:
        refusal = f": {error}"
    left = {each.name for each in _following(now(site, vm_id), record, site)}
    for name in sorted(left):
        site.warn(item.origin, f"{setting_changes.stays(name)}{refusal}")
    return [each.name for each in wanted if each.name not in left]


def _following(vm: PeerVm, record: VmRecord, site: Site) -> list[Change]:
    return [each for each in setting_changes.changes(vm, record, site.counterparts) if each.follows]


def now(site: Site, vm_id: int) -> PeerVm:
    """A VM here with its secrets, which the pool call shows encrypted."""
    return peer_vms.of_element(site.frontend.vm(vm_id), site.pool.access.pool)
