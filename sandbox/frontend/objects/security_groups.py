"""Security group objects: their rules, and the VMs that have them."""
from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.pool_object import PoolObject, ids_xml
from sandbox.frontend.objects.templates import Template, Vector, leading_int

DEFAULT_GROUP = 0
FIRST_GROUP_ID = 100
_PROTOCOLS = ("TCP", "UDP", "ICMP", "ICMPV6", "IPSEC", "ALL")
_RANGE = re.compile(r"(\d+|\d+:\d+)(,(\d+|\d+:\d+))*")
_LAST_PORT = 65535
_MOST_PORTS = 15


@dataclass
class SecurityGroup(PoolObject):
    """A security group. Its rules are data: no driver applies them here."""

    KIND: ClassVar[str] = "secgroup"
    ROOT: ClassVar[str] = "SECURITY_GROUP"
    LABEL: ClassVar[str] = "security group"

    vms: list[int] = field(default_factory=list)

    def to_xml(self) -> str:
        return (f"<SECURITY_GROUP>{self.head_xml()}{ids_xml('UPDATED_VMS', self.vms)}"
                "<OUTDATED_VMS></OUTDATED_VMS><UPDATING_VMS></UPDATING_VMS><ERROR_VMS></ERROR_VMS>"
                f"{self.template.to_xml()}</SECURITY_GROUP>")

    def rules(self) -> list[Vector]:
        """The rules as a VM shows them."""
        return [{**rule, "SECURITY_GROUP_ID": str(self.oid), "SECURITY_GROUP_NAME": self.name}
                for rule in self.template.vectors("RULE")]

    def check_update(self, old: Template) -> None:
        check_rules(self.template)


def check_rules(template: Template) -> None:
    """Raise for a rule that oned refuses; drop rules that are there twice."""
    kept: list[Vector] = []
    for rule in template.vectors("RULE"):
        _check_rule(rule)
        if rule not in kept:
            kept.append(rule)
    if kept:
        template["RULE"] = [*kept]


def _check_rule(rule: Vector) -> None:
    protocol = rule.get("PROTOCOL", "").upper()
    if protocol not in _PROTOCOLS:
        raise internal("Wrong PROTOCOL in rule. Valid options: TCP, UDP, ICMP, ICMPV6, IPSEC, ALL.")
    if rule.get("RANGE"):
        if protocol not in ("TCP", "UDP"):
            raise internal("RANGE is supported only for TCP and UDP protocols.")
        _check_range(rule["RANGE"])
    for kind in ("ICMP", "ICMPV6"):
        value = rule.get(f"{kind}_TYPE")
        if value and protocol != kind:
            raise internal(f"{kind}_TYPE is supported only for {kind} protocol.")
        if value and leading_int(value) is None:
            raise internal(f"Wrong {kind}_TYPE, it must be integer")
    if rule.get("RULE_TYPE", "").upper() not in ("INBOUND", "OUTBOUND"):
        raise internal("Wrong RULE_TYPE in rule. Valid options: INBOUND, OUTBOUND.")
    if rule.get("IP"):
        _check_addresses(rule)
    elif "NETWORK_ID" in rule and leading_int(rule["NETWORK_ID"]) is None:
        raise internal("Wrong NETWORK_ID.")


def _check_range(text: str) -> None:
    if not _RANGE.fullmatch(text):
        raise internal("Invalid RANGE specification.")
    ports = 0
    for part in text.split(","):
        numbers = [int(number) for number in part.split(":")]
        if numbers[-1] > _LAST_PORT:
            raise internal("RANGE out of bounds 0-65536.")
        if numbers[-1] < numbers[0]:
            raise internal("RANGE BEGIN value is greater than RANGE END value")
        ports += len(numbers)
        if ports > _MOST_PORTS:
            raise internal("Not more than 15 ports can be specified in a RULE")


def _check_addresses(rule: Vector) -> None:
    if leading_int(rule.get("SIZE", "")) is None:
        raise internal("Wrong or empty SIZE.")
    try:
        ipaddress.ip_address(rule["IP"])
    except ValueError as failure:
        raise internal("Wrong format for IP value.") from failure
