"""Hosts: registered, always in good health, with a share that VMs take from."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend import shared_calls
from sandbox.frontend.calls import api
from sandbox.frontend.clusters import Cluster
from sandbox.frontend.context import Frontend
from sandbox.frontend.errors import ApiError, action, internal, not_allocated
from sandbox.frontend.objects import PoolObject, check_name, ids_xml
from sandbox.frontend.states import HOST_STATES
from sandbox.frontend.templates import Template, cdata
from sandbox.frontend.users import ADMIN, MANAGE, Caller
from sandbox.frontend.vms import VM

TOTAL_MEMORY_KB = 16 * 1024 * 1024
TOTAL_CPU = 800
STATUS = {0: "INIT", 1: "DISABLED", 2: "OFFLINE"}


@dataclass
class Host(PoolObject):
    """A hypervisor host."""

    KIND: ClassVar[str] = "host"
    ROOT: ClassVar[str] = "HOST"
    LABEL: ClassVar[str] = "host"

    state: int = 0
    prev_state: int = 0
    im_mad: str = ""
    vm_mad: str = ""
    cluster_id: int = 0
    cluster: str = "default"
    vms: list[int] = field(default_factory=list)
    memory_kb: int = 0
    cpu: int = 0

    def to_xml(self) -> str:
        seen = self.state == HOST_STATES["MONITORED"]
        memory, cpu = (TOTAL_MEMORY_KB, TOTAL_CPU) if seen else (0, 0)
        return (
            f"<HOST><ID>{self.oid}</ID><NAME>{self.name}</NAME><STATE>{self.state}</STATE>"
            f"<PREV_STATE>{self.prev_state}</PREV_STATE><IM_MAD>{cdata(self.im_mad)}</IM_MAD>"
            f"<VM_MAD>{cdata(self.vm_mad)}</VM_MAD><CLUSTER_ID>{self.cluster_id}</CLUSTER_ID>"
            f"<CLUSTER>{self.cluster}</CLUSTER><HOST_SHARE><MEM_USAGE>{self.memory_kb}</MEM_USAGE>"
            f"<CPU_USAGE>{self.cpu}</CPU_USAGE><TOTAL_MEM>{memory}</TOTAL_MEM><TOTAL_CPU>{cpu}</TOTAL_CPU>"
            f"<MAX_MEM>{memory}</MAX_MEM><MAX_CPU>{cpu}</MAX_CPU><RUNNING_VMS>{len(self.vms)}</RUNNING_VMS>"
            "<VMS_THREAD>1</VMS_THREAD><DATASTORES><DISK_USAGE><![CDATA[0]]></DISK_USAGE>"
            "<FREE_DISK><![CDATA[0]]></FREE_DISK><MAX_DISK><![CDATA[0]]></MAX_DISK>"
            "<USED_DISK><![CDATA[0]]></USED_DISK></DATASTORES><PCI_DEVICES/><NUMA_NODES/></HOST_SHARE>"
            f"{ids_xml('VMS', self.vms)}{self.template.to_xml()}{self._monitoring()}</HOST>")

    def _monitoring(self) -> str:
        if self.state != HOST_STATES["MONITORED"]:
            return "<MONITORING/>"
        return (f"<MONITORING><TIMESTAMP>{int(time.time())}</TIMESTAMP><ID>{self.oid}</ID><CAPACITY>"
                f"<FREE_CPU><![CDATA[{TOTAL_CPU - self.cpu}]]></FREE_CPU>"
                f"<FREE_MEMORY><![CDATA[{TOTAL_MEMORY_KB - self.memory_kb}]]></FREE_MEMORY>"
                f"<USED_CPU><![CDATA[{self.cpu}]]></USED_CPU><USED_MEMORY><![CDATA[{self.memory_kb}]]></USED_MEMORY>"
                "</CAPACITY><SYSTEM><NETRX><![CDATA[0]]></NETRX><NETTX><![CDATA[0]]></NETTX></SYSTEM></MONITORING>")

    @property
    def state_text(self) -> str:
        """Name of the state."""
        return next(name for name, number in HOST_STATES.items() if number == self.state)

    @property
    def usable(self) -> bool:
        """Whether the scheduler may place VMs here."""
        return self.state == HOST_STATES["MONITORED"]

    def changed(self) -> bool:
        """Whether the last saved state is another one."""
        return self.state != self.prev_state

    def event(self) -> tuple[str, str]:
        """Hook key and message of the change."""
        return (f"HOST/{self.state_text}",
                f"<HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>HOST</HOOK_OBJECT><STATE>{self.state_text}</STATE>"
                f"<REMOTE_HOST>{self.name}</REMOTE_HOST><RESOURCE_ID>{self.oid}</RESOURCE_ID>{self.to_xml()}")

    def settle(self) -> None:
        """The change was told."""
        self.prev_state = self.state


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


shared_calls.add_info("host", Host)
shared_calls.add_plain_pool("host", Host)
shared_calls.add_rename("host", Host, "HOST")


@api("one.host.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change the template."""
    found = frontend.store.get(Host, oid)
    who.demand(MANAGE, found)
    shared_calls.replace_template(frontend, who, found, text, way, [])
    return oid


@api("one.host.allocate", "sss?i")
def allocate(frontend: Frontend, who: Caller, name: str, im_mad: str, vm_mad: str, cluster: int = -1) -> int:
    """Register a host: its drivers must be in oned.conf."""
    who.demand_admin("CREATE", "HOST")
    chosen = frontend.store.get(Cluster, 0 if cluster == -1 else cluster)
    taken = frontend.store.by_name(Host, name)
    if taken is not None:
        raise internal(f"NAME is already taken by HOST {taken.oid}.")
    try:
        check_name(name)
    except ApiError as failure:
        raise not_allocated("host", failure.text) from failure
    if frontend.config.vm_mad(vm_mad) is None:
        raise internal(f"Cannot find vmm driver: {vm_mad}")
    if frontend.config.im_mad(im_mad) is None:
        raise internal(f"Cannot find im driver: {im_mad}")
    host = Host(frontend.store.next_id("host"), name=name, im_mad=im_mad, vm_mad=vm_mad, cluster_id=chosen.oid,
                cluster=chosen.name)
    kind = (frontend.config.vm_mad(vm_mad) or {}).get("TYPE", "kvm")
    host.template = Template.of(
        ARCH="x86_64", HOSTNAME=name, IM_MAD=im_mad, VM_MAD=vm_mad, HYPERVISOR="dummy" if "dummy" in (im_mad, vm_mad) else kind,
        RESERVED_CPU="", RESERVED_MEM="", TOTALCPU=str(TOTAL_CPU), TOTALMEMORY=str(TOTAL_MEMORY_KB))
    frontend.store.put(host)
    who.extra = host.to_xml()
    _monitored(frontend, host)
    return host.oid


def _monitored(frontend: Frontend, host: Host) -> None:
    """There is no probe to wait for."""
    host.state = HOST_STATES["MONITORED"]
    frontend.save(host)
    frontend.wake_scheduler.set()


@api("one.host.status", "ii")
def status(frontend: Frontend, who: Caller, oid: int, wanted: int) -> int:
    """Enable (0), disable (1) or put offline (2). VMs stay as they are."""
    host = frontend.store.get(Host, oid)
    who.demand(ADMIN, host)
    if wanted not in STATUS:
        raise internal("Wrong status code")
    host.state = HOST_STATES[STATUS[wanted]]
    frontend.save(host)
    if wanted == 0:
        _monitored(frontend, host)
    return oid


@api("one.host.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Remove a host no VM is on."""
    host = frontend.store.get(Host, oid)
    who.demand(ADMIN, host)
    if host.vms:
        raise action("Cannot delete host. Can not remove a host with running VMs")
    who.extra = host.to_xml()
    frontend.store.drop(host)
    return oid
