"""The share of a host that a VM takes while it is placed there."""
from __future__ import annotations

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.hosts import Host
from sandbox.frontend.objects.vms import VM


def take_capacity(frontend: Frontend, vm: VM) -> None:
    """Count a VM at its host."""
    host = frontend.store.find(Host, vm.place.hid)
    if host is not None and vm.oid not in host.vms:
        host.vms.append(vm.oid)
        host.memory_kb += _memory_kb(vm)
        host.cpu += _cpu(vm)
        frontend.save(host)


def give_capacity(frontend: Frontend, vm: VM) -> None:
    """Stop counting a VM at its host."""
    host = frontend.store.find(Host, vm.place.hid) if vm.history else None
    if host is not None and vm.oid in host.vms:
        host.vms.remove(vm.oid)
        host.memory_kb -= _memory_kb(vm)
        host.cpu -= _cpu(vm)
        frontend.save(host)


def _memory_kb(vm: VM) -> int:
    return (vm.template.number("MEMORY") or 0) * 1024


def _cpu(vm: VM) -> int:
    return int(float(vm.template.text("CPU", "0")) * 100)
