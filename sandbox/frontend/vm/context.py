"""CONTEXT of a VM: variables replaced, network and files added, and written for the TM driver to pack."""
from __future__ import annotations

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import images
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.templates import Vector
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.objects.vnets import VNet
from sandbox.frontend.vm import variables

# Variable of the guest, attribute of the NIC, another attribute of the NIC instead of an empty one.
_OF_NIC = {
    "IP": ("IP",), "MAC": ("MAC",), "VROUTER_IP": ("VROUTER_IP",),
    "VROUTER_MANAGEMENT": ("VROUTER_MANAGEMENT",), "EXTERNAL": ("EXTERNAL",),
    "IP6": ("IP6_GLOBAL", "IP6"), "IP6_ULA": ("IP6_ULA",),
    "VROUTER_IP6": ("VROUTER_IP6_GLOBAL", "VROUTER_IP6"),
}
# These are looked up in address range and network, too.
_OF_NETWORK = {
    "MASK": "NETWORK_MASK", "NETWORK": "NETWORK_ADDRESS", "GATEWAY": "GATEWAY", "DNS": "DNS",
    "SEARCH_DOMAIN": "SEARCH_DOMAIN", "MTU": "GUEST_MTU", "METRIC": "METRIC", "METHOD": "METHOD",
    "VLAN_ID": "VLAN_ID", "ROUTES": "ROUTES", "IP6_GATEWAY": "GATEWAY6", "IP6_METRIC": "IP6_METRIC",
    "IP6_METHOD": "IP6_METHOD", "IP6_PREFIX_LENGTH": "PREFIX_LENGTH",
}
_SEPARATOR = "@^_^@"
"""oned joins the attributes with it and replaces the variables of all at once; it shows in parse errors."""


def fill(frontend: Frontend, vm: VM, old: Vector | None = None) -> None:
    """Replace variables, add network, files and token. Values equal to those of `old` stay as they are."""
    vector = vm.template.vector("CONTEXT")
    if vector is None:
        return
    listed = vector.pop("FILES_DS", "")
    kept = {key: value for key, value in (old or {}).items() if vector.get(key) == value}
    new = {key: value for key, value in vector.items() if key not in kept}
    if new:
        joined = _SEPARATOR.join(f"{key}={value}" for key, value in sorted(new.items()))
        replaced = variables.replace(frontend, vm, joined)
        vector |= dict(part.partition("=")[::2] for part in replaced.split(_SEPARATOR))
    fill_network(frontend, vm)
    if listed:
        _fill_files(frontend, vm, vector, listed, (old or {}).get("FILES_DS", ""))
    _fill_token(frontend, vm, vector)


def _fill_files(frontend: Frontend, vm: VM, vector: Vector, listed: str, old: str) -> None:
    """Set FILES_DS to the sources and names of its images; oned cannot read such a resolved value again."""
    if listed == old:
        vector["FILES_DS"] = old
        return
    parts = []
    for image in variables.files(frontend, vm, listed):
        if image.type_text != "CONTEXT":
            raise internal("Only images of type CONTEXT can be used in FILE_DS attribute.")
        if image.state != images.READY:
            raise internal(f"{image.type_text} Image '{image.oid}' not in READY state.")
        parts.append(f"{image.source}:'{image.name}' ")
    if parts:
        vector["FILES_DS"] = "".join(parts)


def _fill_token(frontend: Frontend, vm: VM, vector: Vector) -> None:
    if vector.get("TOKEN", "").upper() != "YES":
        return
    endpoint = frontend.config.template.text("ONEGATE_ENDPOINT")
    if not endpoint:
        raise internal("TOKEN set, but onegate endpoint was not defined in oned.conf.")
    vector |= {"ONEGATE_ENDPOINT": endpoint, "VMID": str(vm.oid)}
    vm.template.put("CREATED_BY", str(vm.uid))


def fill_network(frontend: Frontend, vm: VM) -> None:
    """Renew the variables ETH<n>_* and ETH<n>_ALIAS<m>_* when the context has NETWORK=YES."""
    vector = vm.template.vector("CONTEXT")
    if vector is None or vector.get("NETWORK", "NO").upper() != "YES":
        return
    for key in [key for key in vector if key.startswith("ETH")]:
        del vector[key]
    for nic in vm.interfaces:
        _fill_nic(frontend, vector, nic)


def _fill_nic(frontend: Frontend, vector: Vector, nic: Vector) -> None:
    head = f"ETH{nic['PARENT_ID']}_ALIAS{nic['ALIAS_ID']}" if "ALIAS_ID" in nic else f"ETH{nic['NIC_ID']}"
    for variable, names in _OF_NIC.items():
        vector[f"{head}_{variable}"] = next((nic[name] for name in names if nic.get(name)), "")
    network = frontend.store.find(VNet, int(nic.get("NETWORK_ID", "-1")))
    for variable, name in _OF_NETWORK.items():
        found = network.attribute(nic, name) if network is not None else ""
        vector[f"{head}_{variable}"] = nic.get(name) or found


def write(frontend: Frontend, vm: VM) -> None:
    """Write var/vms/ID/context.sh, which the TM action `context` packs."""
    vector = vm.template.vector("CONTEXT")
    if vector is None:
        return
    folder = frontend.var / "vms" / str(vm.oid)
    folder.mkdir(parents=True, exist_ok=True)
    quoted = {key: value.replace("'", "'\\''") for key, value in sorted(vector.items())}
    lines = "".join(f"{key}='{value}'\n" for key, value in quoted.items())
    (folder / "context.sh").write_text(f"# Context variables generated by OpenNebula\n{lines}")
