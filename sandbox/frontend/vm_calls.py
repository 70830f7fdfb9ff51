"""one.vm.*: creation, information, attributes; one.vmpool.*."""
from __future__ import annotations

from typing import Any

from sandbox.frontend import shared_calls, vm_create, vm_disks
from sandbox.frontend.calls import api, not_supported
from sandbox.frontend.context import Frontend
from sandbox.frontend.errors import ApiError, Code, action, internal, unauthorized
from sandbox.frontend.hosts import give_capacity, take_capacity
from sandbox.frontend.states import VM_STATES
from sandbox.frontend.templates import Template, Vector
from sandbox.frontend.users import MANAGE, USE, Caller
from sandbox.frontend.vms import VM

ANY_STATE, NOT_DONE = -2, -1
UPDATE_CONF = ("OS", "FEATURES", "INPUT", "GRAPHICS", "RAW", "CONTEXT", "CPU_MODEL", "VIDEO", "BACKUP_CONFIG")
_RESIZABLE = ("PENDING", "HOLD", "POWEROFF", "UNDEPLOYED", "CLONING")

shared_calls.add_info("vm", VM)
shared_calls.add_rename("vm", VM, "VM", unique=False)
shared_calls.add_ownership("vm", VM, unique=False)
shared_calls.add_lock("vm", VM)
for _name in ("backup", "backupcancel", "restore", "attachpci", "detachpci", "attachsg", "detachsg", "updatenic",
              "schedadd", "schedupdate", "scheddelete", "exec", "retryexec", "cancelexec", "vmgroupadd", "vmgroupdel",
              "disksnapshotrename", "snapshotrevert", "snapshotdelete"):
    not_supported(f"one.vm.{_name}")
for _name in ("accounting", "showback", "calculateshowback"):
    not_supported(f"one.vmpool.{_name}")


@api("one.vm.allocate", "s?b")
def allocate(frontend: Frontend, who: Caller, text: str, hold: bool = False) -> int:
    """A new VM, pending or on hold."""
    vm = vm_create.create(frontend, who, shared_calls.read_template(text), hold)
    who.extra = vm.to_xml()
    return vm.oid


@api("one.vm.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change the user template."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    shared_calls.replace_template(frontend, who, vm, text, way, frontend.config.names("VM_RESTRICTED_ATTR"),
                                  field="user_template")
    frontend.wake_scheduler.set()
    return oid


@api("one.vm.updateconf", "is?i")
def updateconf(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change boot, graphics, context and the like; a running domain sees it at the next boot."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    if vm.state_text not in ("PENDING", "HOLD", "POWEROFF", "UNDEPLOYED", "CLONING", "RUNNING", "SUSPENDED", "STOPPED"):
        raise internal(f"Unable to update configuration: configuration cannot be updated in state {vm.state_text}")
    given = shared_calls.read_template(text)
    restricted = given.restricted(frontend.config.names("VM_RESTRICTED_ATTR"))
    if restricted and not who.is_admin:
        raise unauthorized(who.uid, f"Template includes a restricted attribute {restricted}")
    for name in UPDATE_CONF:
        if name not in given and way == 1:
            continue
        _update_section(vm, name, given.vectors(name), append=way == 1)
    vm_disks.place_context(vm)
    vm_create.fill_context(frontend, who.uid, vm)
    frontend.save(vm)
    return oid


def _update_section(vm: VM, name: str, given: list[Vector], append: bool) -> None:
    """Sections are replaced as a whole; in append mode their attributes are merged. Ids oned set stay."""
    old = vm.template.vector(name) or {}
    kept = {key: old[key] for key in {"OS": ("UUID", "MACHINE"), "CONTEXT": ("DISK_ID", "TARGET")}.get(name, ())
            if key in old}
    if append and given and name not in ("INPUT", "GRAPHICS"):
        given = [{**old, **given[0]}]
    elif append and given and name == "GRAPHICS":
        merged = {**old, **given[0]}
        merged.pop("PORT", None)
        given = [merged]
    if given:
        vm.template[name] = [{**kept, **one} for one in given]
    elif kept:
        vm.template[name] = [kept]
    else:
        vm.template.pop(name, None)


@api("one.vm.resize", "is?b")
def resize(frontend: Frontend, who: Caller, oid: int, text: str, enforce: bool = True) -> int:
    """Change CPU and memory of a VM that does not run."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    if vm.state_text == "RUNNING":
        raise ApiError(Code.RPC_API, "The stand-in front-end does not resize running VMs")
    if vm.state_name not in _RESIZABLE:
        raise action(f"Resize action is not available for state {vm.state_text}")
    given = shared_calls.read_template(text)
    changes = _capacity(given)
    on_host = vm.on_host
    if on_host:
        give_capacity(frontend, vm)
    for key, value in changes.items():
        vm.template.put(key, value)
    if on_host:
        take_capacity(frontend, vm)
    frontend.save(vm)
    return oid


def _capacity(given: Template) -> dict[str, str]:
    changes = {}
    if given.text("CPU"):
        cpu = vm_create.positive(given.text("CPU"))
        if cpu is None:
            raise internal("CPU must be a positive float or integer value.")
        changes["CPU"] = f"{cpu:g}"
    for key in ("MEMORY", "VCPU"):
        if given.text(key):
            number = given.number(key)
            if number is None or number <= 0:
                raise internal(f"{key} must be a positive integer value.")
            changes[key] = str(number)
    return changes


@api("one.vm.monitoring", "i")
def monitoring(frontend: Frontend, who: Caller, oid: int) -> str:
    """No data are collected."""
    who.demand(USE, frontend.store.get(VM, oid), ignore_lock=True)
    return "<MONITORING_DATA></MONITORING_DATA>"


def _vms(frontend: Frontend, who: Caller, which: int, start: int, end: int, state: int, query: str) -> list[VM]:
    if query:
        raise internal("JSON query search is not supported by the SQL backend")
    done = VM_STATES["DONE"]
    vms = [obj for obj in shared_calls.listing(frontend, who, VM, which, start, end) if isinstance(obj, VM)]
    if state == ANY_STATE:
        return vms
    return [vm for vm in vms if (vm.state != done if state == NOT_DONE else vm.state == state)]


@api("one.vmpool.info", "iiii?s")
def pool_info(frontend: Frontend, who: Caller, which: int, start: int, end: int, state: int, query: str = "") -> str:
    """Short records."""
    found = _vms(frontend, who, which, start, end, state, query)
    return f"<VM_POOL>{''.join(vm.pool_xml() for vm in found)}</VM_POOL>"


@api("one.vmpool.infoextended", "iiii?s")
def pool_infoextended(frontend: Frontend, who: Caller, which: int, start: int, end: int, state: int,
                      query: str = "") -> str:
    """Full records."""
    found = _vms(frontend, who, which, start, end, state, query)
    return f"<VM_POOL>{''.join(vm.to_xml() for vm in found)}</VM_POOL>"


@api("one.vmpool.infoset", "s?b")
def pool_infoset(frontend: Frontend, who: Caller, ids: str, extended: bool = False) -> str:
    """Records of the given ids."""
    wanted = {int(one) for one in ids.split(",") if one.strip().isdigit()}
    found = [vm for vm in frontend.store.all(VM) if vm.oid in wanted and who.may(USE, vm)]
    return f"<VM_POOL>{''.join(vm.to_xml() if extended else vm.pool_xml() for vm in found)}</VM_POOL>"


@api("one.vmpool.monitoring", "i?i")
def pool_monitoring(frontend: Frontend, who: Caller, *_: Any) -> str:
    """No data are collected."""
    return "<MONITORING_DATA></MONITORING_DATA>"


@api("one.hostpool.monitoring", "?i")
def hosts_monitoring(frontend: Frontend, who: Caller, *_: Any) -> str:
    """No data are collected."""
    return "<MONITORING_DATA></MONITORING_DATA>"
