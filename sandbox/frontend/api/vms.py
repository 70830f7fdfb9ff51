"""one.vm.*: creation, information, attributes, capacity."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import restrictions
from sandbox.frontend.objects.errors import ApiError, Code, action, internal, unauthorized
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import MANAGE, Caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm import create, graphics, settings
from sandbox.frontend.vm.capacity import give_capacity, take_capacity

_UPDATE_CONF = (*settings.SETTABLE, "CONTEXT", "BACKUP_CONFIG")
_RESIZABLE = ("PENDING", "HOLD", "POWEROFF", "UNDEPLOYED", "CLONING")
_CONFIGURABLE = (*_RESIZABLE, "RUNNING", "SUSPENDED", "STOPPED")

shared_calls.add_info("vm", VM)
shared_calls.add_rename("vm", VM, "VM", unique=False)
shared_calls.add_ownership("vm", VM, unique=False)
shared_calls.add_lock("vm", VM)


@api("one.vm.allocate", "s?b")
def allocate(frontend: Frontend, who: Caller, text: str, hold: bool = False) -> int:
    """A new VM, pending or on hold."""
    vm = create.create(frontend, who, shared_calls.read_template(text), hold)
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
    if vm.state_text not in _CONFIGURABLE:
        raise internal("Unable to update configuration: configuration cannot be updated in state"
                       f" {vm.state_text}")
    given = shared_calls.read_template(text)
    _check_restricted(frontend, who, vm, given)
    settings.update(frontend, vm, given, append=way == 1)
    if vm.on_host:
        graphics.take_port(frontend, vm)
    frontend.save(vm)
    return oid


def _check_restricted(frontend: Frontend, who: Caller, vm: VM, given: Template) -> None:
    """An ordinary user may repeat the restricted attributes that the VM has."""
    sections = Template({name: given[name] for name in _UPDATE_CONF if name in given})
    names = frontend.config.names("VM_RESTRICTED_ATTR")
    found = "" if who.is_admin else restrictions.changed(sections, vm.template, names, append=True)
    if found:
        raise unauthorized(who.uid, f"Template includes a restricted attribute {found}")


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
    names = frontend.config.names("VM_RESTRICTED_ATTR")
    restrictions.demand_unrestricted(who, given, names, "Template")
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
        cpu = create.positive(given.text("CPU"))
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
