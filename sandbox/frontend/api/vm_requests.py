"""What the calls that change a VM have in common."""
from __future__ import annotations

import itertools
import time

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import action
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.users import MANAGE, Caller
from sandbox.frontend.objects.vms import VM

_requests = itertools.count(int(time.time()) % 10000)


def request_number() -> int:
    """A number like oned's request ids."""
    return next(_requests) % 10000


def target(frontend: Frontend, who: Caller, oid: int) -> VM:
    """The VM of a call."""
    vm = frontend.store.get(VM, oid)
    who.demand(MANAGE, vm)
    return vm


def disk_of(vm: VM, number: int) -> Vector:
    """A disk of a call."""
    disk = vm.disk(number)
    if disk is None:
        raise action("VM disk does not exist")
    return disk


def choose_stage(vm: VM, what: str, live: str, off: str) -> str:
    """The transient state for a running or a powered-off VM."""
    if vm.state_text == "RUNNING":
        return live
    if vm.state_name == "POWEROFF" and off:
        return off
    raise action(f"{what}, wrong state {vm.state_text}.")
