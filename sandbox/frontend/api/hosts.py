"""one.host.* and one.hostpool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.clusters import Cluster
from sandbox.frontend.objects.errors import ApiError, internal, not_allocated
from sandbox.frontend.objects.hosts import TOTAL_CPU, TOTAL_MEMORY_KB, Host
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.states import HOST_STATES
from sandbox.frontend.objects.templates import Template
from sandbox.frontend.objects.users import ADMIN, Caller

STATUS = {0: "INIT", 1: "DISABLED", 2: "OFFLINE"}

shared_calls.add_info("host", Host)
shared_calls.add_plain_pool("host", Host)


@api("one.host.allocate", "sss?i")
def allocate(frontend: Frontend, who: Caller, name: str, im_mad: str, vm_mad: str, cluster: int = -1) -> int:
    """Register a host; its drivers must be in oned.conf."""
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
    host = Host(frontend.store.next_id("host"), name=name, im_mad=im_mad, vm_mad=vm_mad,
                cluster_id=chosen.oid, cluster=chosen.name)
    kind = (frontend.config.vm_mad(vm_mad) or {}).get("TYPE", "kvm")
    hypervisor = "dummy" if "dummy" in (im_mad, vm_mad) else kind
    host.template = Template.of(
        ARCH="x86_64", HOSTNAME=name, IM_MAD=im_mad, VM_MAD=vm_mad, HYPERVISOR=hypervisor,
        RESERVED_CPU="", RESERVED_MEM="", TOTALCPU=str(TOTAL_CPU), TOTALMEMORY=str(TOTAL_MEMORY_KB))
    frontend.store.put(host)
    who.extra = host.to_xml()
    _monitored(frontend, host)
    return host.oid


def _monitored(frontend: Frontend, host: Host) -> None:
    """Set the state at once: there is no probe to wait for."""
    host.state = HOST_STATES["MONITORED"]
    frontend.save(host)
    frontend.wake_scheduler.set()


@api("one.host.status", "ii")
def status(frontend: Frontend, who: Caller, oid: int, wanted: int) -> int:
    """Enable (0), disable (1) or take offline (2); the VMs on the host are left as they are."""
    host = frontend.store.get(Host, oid)
    who.demand(ADMIN, host)
    if wanted not in STATUS:
        raise internal("Wrong status code")
    host.state = HOST_STATES[STATUS[wanted]]
    frontend.save(host)
    if wanted == 0:
        _monitored(frontend, host)
    return oid
