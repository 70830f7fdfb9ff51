"""TOPOLOGY of a new VM: checked, and completed with what oned adds."""
from __future__ import annotations

from sandbox.frontend.objects.errors import not_allocated, unsupported
from sandbox.frontend.objects.templates import Template, Vector, leading_int

_PARTS = ("SOCKETS", "CORES", "THREADS")
_PINNED = ("CORE", "THREAD", "SHARED", "NODE_AFFINITY")


def check(template: Template) -> None:
    """Check a template with TOPOLOGY or NUMA_NODE as oned does. Of several topologies the first counts."""
    if not template.vectors("TOPOLOGY") and not template.vectors("NUMA_NODE"):
        return
    topology = template.vector("TOPOLOGY") or {}
    template.put("TOPOLOGY", topology)
    if topology.get("PIN_POLICY", "NONE").upper() in _PINNED:
        raise unsupported("pinned virtual topologies")
    if template.number("MEMORY") is None:
        raise _refused("VM has not MEMORY set")
    if template.number("VCPU") is None:
        template.put("VCPU", "1")
    if template.text("VCPU_MAX"):
        raise _refused("VM with TOPOLOGY does not support CPU hotplug (VCPU_MAX)")
    _check_parts(topology, template.number("VCPU") or 0)
    topology["PIN_POLICY"] = "NONE"
    _add_node(template, topology)


def _check_parts(topology: Vector, vcpu: int) -> None:
    sockets, cores, threads = (leading_int(topology.get(name, "")) or 0 for name in _PARTS)
    if not sockets and not cores and not threads:
        topology |= {"SOCKETS": "1", "CORES": str(vcpu), "THREADS": "1"}
    elif not sockets or not cores or not threads:
        raise _refused("Non-pinned VMs with a virtual topology needs to set  SOCKETS, CORES and THREADS"
                       " numbers.")
    elif sockets * cores * threads != vcpu:
        raise _refused("Total threads per core and socket needs to match VCPU")


def _add_node(template: Template, topology: Vector) -> None:
    template.pop("NUMA_NODE", None)
    affinity = leading_int(topology.get("NODE_AFFINITY", ""))
    if affinity is None:
        topology.pop("NODE_AFFINITY", None)
    if affinity is not None or leading_int(topology.get("HUGEPAGE_SIZE", "")):
        memory_kb = (template.number("MEMORY") or 0) * 1024
        template.put("NUMA_NODE", {"TOTAL_CPUS": template.text("VCPU"), "MEMORY": str(memory_kb)})


def _refused(text: str) -> Exception:
    return not_allocated("virtual machine", text)
