"""Virtual networks: address ranges and the leases VMs hold."""
from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.errors import action, internal
from sandbox.frontend.objects.pool_object import PoolObject, ids_xml
from sandbox.frontend.objects.security_groups import DEFAULT_GROUP
from sandbox.frontend.objects.states import VNET_STATES
from sandbox.frontend.objects.templates import Template, Vector, cdata, leading_int

HOLDER = "-1"
_OF_RANGE = ("BRIDGE", "VN_MAD", "PHYDEV", "VLAN_ID")
"""Attributes that an address range may have instead of its network."""


@dataclass
class AddressRange:
    """A range of addresses. Leases map an index to the id of its VM, or to -1 when held."""

    attributes: Vector
    leases: dict[str, str] = field(default_factory=dict)
    next_index: int = 0

    @property
    def size(self) -> int:
        """Number of addresses."""
        return int(self.attributes["SIZE"])

    def ip(self, index: int) -> str:
        """IPv4 address of an index, if the range has them."""
        first = self.attributes.get("IP")
        return str(ipaddress.IPv4Address(first) + index) if first else ""

    def mac(self, index: int) -> str:
        """MAC address of an index."""
        number = int(self.attributes["MAC"].replace(":", ""), 16) + index
        return _colons(f"{number:012x}")

    def find(self, ip: str = "", mac: str = "") -> int | None:
        """Index of an address, None when it is not of this range."""
        if ip and self.attributes.get("IP"):
            index = int(ipaddress.IPv4Address(ip)) - int(ipaddress.IPv4Address(self.attributes["IP"]))
        elif mac:
            index = int(mac.replace(":", ""), 16) - int(self.attributes["MAC"].replace(":", ""), 16)
        else:
            return None
        return index if 0 <= index < self.size else None

    def free(self) -> int | None:
        """The next free index, going round."""
        for step in range(self.size):
            index = (self.next_index + step) % self.size
            if str(index) not in self.leases:
                return index
        return None

    def take(self, index: int, holder: str) -> None:
        """Lease an index."""
        self.leases[str(index)] = holder
        self.next_index = (index + 1) % self.size

    def to_xml(self) -> str:
        """The AR element with its leases."""
        last = self.size - 1
        attributes = {**self.attributes, "NEXT_INDEX": str(self.next_index)}
        head = "".join(f"<{key}>{cdata(attributes[key])}</{key}>" for key in sorted(attributes))
        head += f"<MAC_END>{cdata(self.mac(last))}</MAC_END>"
        head += f"<IP_END>{cdata(self.ip(last))}</IP_END>" if self.ip(last) else ""
        leases = "".join(self._lease_xml(int(index), self.leases[index])
                         for index in sorted(self.leases, key=int))
        return (f"<AR>{head}<USED_LEASES>{len(self.leases)}</USED_LEASES>"
                f"{f'<LEASES>{leases}</LEASES>' if leases else '<LEASES/>'}</AR>")

    def _lease_xml(self, index: int, holder: str) -> str:
        ip = f"<IP>{cdata(self.ip(index))}</IP>" if self.ip(index) else ""
        return f"<LEASE>{ip}<MAC>{cdata(self.mac(index))}</MAC><VM>{cdata(holder)}</VM></LEASE>"


@dataclass
class VNet(PoolObject):
    """A virtual network."""

    KIND: ClassVar[str] = "vnet"
    ROOT: ClassVar[str] = "VNET"
    LABEL: ClassVar[str] = "virtual network"

    state: int = VNET_STATES["READY"]
    clusters: list[int] = field(default_factory=list)
    ranges: list[AddressRange] = field(default_factory=list)
    next_range: int = 0

    def __post_init__(self) -> None:
        self.ranges = [AddressRange(**one) if isinstance(one, dict) else one for one in self.ranges]

    def to_xml(self) -> str:
        text = self.template.text
        vms = sorted({int(vm) for one in self.ranges for vm in one.leases.values() if vm != HOLDER})
        used = sum(len(one.leases) for one in self.ranges)
        fields = "".join(f"<{key}>{cdata(text(key))}</{key}>" if text(key) else f"<{key}/>"
                         for key in ("PHYDEV", "VLAN_ID", "OUTER_VLAN_ID"))
        return (
            f"<VNET>{self.head_xml()}{ids_xml('CLUSTERS', self.clusters)}"
            f"<BRIDGE>{cdata(text('BRIDGE'))}</BRIDGE>"
            f"<BRIDGE_TYPE>{cdata(text('BRIDGE_TYPE'))}</BRIDGE_TYPE><STATE>{cdata(str(self.state))}</STATE>"
            f"<PREV_STATE>{cdata(str(self.state))}</PREV_STATE><PARENT_NETWORK_ID/><TEMPLATE_ID/>"
            f"<VN_MAD>{cdata(text('VN_MAD'))}</VN_MAD>{fields}<VLAN_ID_AUTOMATIC>0</VLAN_ID_AUTOMATIC>"
            f"<OUTER_VLAN_ID_AUTOMATIC>0</OUTER_VLAN_ID_AUTOMATIC><USED_LEASES>{used}</USED_LEASES>"
            f"<VROUTERS></VROUTERS>{ids_xml('UPDATED_VMS', vms)}<OUTDATED_VMS></OUTDATED_VMS>"
            f"<UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>{self.template.to_xml()}"
            f"<AR_POOL>{''.join(one.to_xml() for one in self.ranges)}</AR_POOL></VNET>")

    def add_range(self, given: Vector) -> None:
        """A new address range from its template."""
        kind = given.get("TYPE", "").upper()
        size = leading_int(given.get("SIZE", ""))
        if kind not in ("IP4", "ETHER"):
            raise internal(f"Unknown or unsupported type: {kind}" if kind else "Missing TYPE in AR")
        if not size or size <= 0:
            raise internal("Wrong SIZE for address range")
        attributes = {key: value for key, value in given.items() if value}
        attributes |= {"AR_ID": str(self.next_range), "TYPE": kind, "SIZE": str(size)}
        if kind == "IP4" and not _is_ip(given.get("IP", "")):
            raise internal("Wrong or empty IP attribute")
        if not attributes.get("MAC"):
            tail = int(ipaddress.IPv4Address(given["IP"])) if kind == "IP4" else (self.oid << 16)
            attributes["MAC"] = "02:00:" + _colons(f"{tail:08x}")
        attributes.setdefault("SHARED", "NO")
        self.ranges.append(AddressRange(attributes))
        self.next_range += 1

    def lease(self, nic: Vector, vm: int) -> None:
        """Give a NIC an address: the one it asks for, or the next free one."""
        ip, mac = nic.get("IP", ""), nic.get("MAC", "")
        if ip and mac:
            raise internal(f"Cannot get IP/MAC lease from virtual network {self.oid}.")
        for one in self.ranges:
            index = one.find(ip, mac) if ip or mac else one.free()
            if index is None or str(index) in one.leases:
                continue
            one.take(index, str(vm))
            nic |= {"AR_ID": one.attributes["AR_ID"], "MAC": one.mac(index)}
            if one.ip(index):
                nic["IP"] = one.ip(index)
            return
        raise internal(f"Cannot get IP/MAC lease from virtual network {self.oid}.")

    def release(self, nic: Vector, vm: int) -> None:
        """Take an address back from a VM."""
        for one in self.ranges:
            index = one.find(nic.get("IP", ""), nic.get("MAC", ""))
            if index is not None and one.leases.get(str(index)) == str(vm):
                del one.leases[str(index)]

    def hold(self, lease: Vector) -> None:
        """Reserve an address so that no VM gets it."""
        for one in self.ranges:
            index = one.find(lease.get("IP", ""), lease.get("MAC", ""))
            if index is not None:
                if str(index) in one.leases:
                    raise action("Address is already in use")
                one.take(index, HOLDER)
                return
        raise action("Address is not part of the address range")

    def free_held(self, lease: Vector) -> None:
        """End a hold."""
        for one in self.ranges:
            index = one.find(lease.get("IP", ""), lease.get("MAC", ""))
            if index is not None and one.leases.get(str(index)) == HOLDER:
                del one.leases[str(index)]
                return
        raise action("Lease is not on hold")

    def range_of(self, nic: Vector) -> Vector:
        """The attributes of the address range that a NIC has its address from."""
        every = (one.attributes for one in self.ranges)
        return next((attributes for attributes in every if attributes["AR_ID"] == nic.get("AR_ID")), {})

    def attribute(self, nic: Vector, name: str) -> str:
        """An attribute that a NIC finds in its address range, or else in the network."""
        return self.range_of(nic).get(name) or self.template.text(name)

    def fill_nic(self, nic: Vector, inherit: list[str]) -> None:
        """Copy what a NIC takes from its network and address range; it has its lease already."""
        nic |= {"NETWORK": self.name, "NETWORK_ID": str(self.oid),
                "CLUSTER_ID": ",".join(str(one) for one in self.clusters)}
        own = self.range_of(nic)
        for key in ("BRIDGE", "BRIDGE_TYPE", "VN_MAD", "PHYDEV", "VLAN_ID", "OUTER_VLAN_ID"):
            value = key in _OF_RANGE and own.get(key) or self.template.text(key)
            if value:
                nic[key] = value
        for key in inherit:
            value = self.attribute(nic, key)
            if value and not nic.get(key):
                nic[key] = value
        groups = group_ids(nic.get("SECURITY_GROUPS", ""), self.template.text("SECURITY_GROUPS"),
                           own.get("SECURITY_GROUPS", ""))
        nic["SECURITY_GROUPS"] = ",".join(str(one) for one in groups)


def group_ids(*lists: str) -> list[int]:
    """The security groups of comma-separated lists, each once, in order."""
    numbers = (leading_int(one) for text in lists for one in text.split(","))
    return sorted({number for number in numbers if number is not None})


def _colons(digits: str) -> str:
    return ":".join(digits[place:place + 2] for place in range(0, len(digits), 2))


def _is_ip(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ipaddress.AddressValueError:
        return False
    return True


def make(network: VNet, template: Template) -> None:
    """Fill a new network from the user's template."""
    ranges = template.vectors("AR")
    template.pop("AR", None)
    if not template.text("VN_MAD"):
        raise internal("No VN_MAD in template for Virtual Network.")
    if template.text("VN_MAD") == "bridge" or template.text("VN_MAD") == "dummy":
        template.put("BRIDGE_TYPE", template.text("BRIDGE_TYPE", "linux"))
    if not template.text("BRIDGE"):
        template.put("BRIDGE", f"onebr{network.oid}")
    for key in ("OUTER_VLAN_ID", "PHYDEV", "VLAN_ID"):
        template.put(key, template.text(key))
    groups = group_ids(template.text("SECURITY_GROUPS"), str(DEFAULT_GROUP))
    template.put("SECURITY_GROUPS", ",".join(str(one) for one in groups))
    network.template = template
    for one in ranges:
        network.add_range(one)
