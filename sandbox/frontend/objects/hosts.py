"""Host objects: capacity, state, and the VMs on each."""
from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.pool_object import StatefulObject, ids_xml
from sandbox.frontend.objects.states import HOST_STATES
from sandbox.frontend.objects.templates import cdata

TOTAL_MEMORY_KB = 16 * 1024 * 1024
TOTAL_CPU = 800


@dataclass
class Host(StatefulObject):
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
        return self.state != self.prev_state

    def event(self) -> tuple[str, str]:
        return (f"HOST/{self.state_text}",
                f"<HOOK_TYPE>STATE</HOOK_TYPE><HOOK_OBJECT>HOST</HOOK_OBJECT><STATE>{self.state_text}</STATE>"
                f"<REMOTE_HOST>{self.name}</REMOTE_HOST><RESOURCE_ID>{self.oid}</RESOURCE_ID>{self.to_xml()}")

    def settle(self) -> None:
        self.prev_state = self.state
