"""What `mon_host` may say, in every form that Ceph's own parser takes, as addresses to connect to. Pure.

Ceph: `MonMap::build_initial` with `parse_ip_port_vec` and `resolve_addrs`. Entries are separated by commas,
blanks or semicolons. Each is an address or a list of addresses in brackets. An address is `v1:`, `v2:`,
`any:` or nothing, then an IPv4 address, an IPv6 address (in brackets when a port follows) or a DNS name, then
optionally a port and a nonce. Without a port, Ceph tries its two well-known ones.
"""
from __future__ import annotations

import ipaddress
import re

MSGR2_PORT, LEGACY_PORT = 3300, 6789  # Ceph: CEPH_MON_PORT_IANA, CEPH_MON_PORT_LEGACY
_DEFAULT_PORTS = {"v1": (LEGACY_PORT,), "v2": (MSGR2_PORT,), "any": (MSGR2_PORT, LEGACY_PORT)}
_ADDRESS = re.compile(
    r"\[?(?:(?P<type>v1|v2|any):)?"
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<bare>[0-9a-fA-F.]*:[0-9a-fA-F.]*:[0-9a-fA-F:.]*)|(?P<name>[^\[\]:/]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:/[0-9]+)?\]?"
)
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")


def addresses(mon_host: str) -> list[tuple[str, int]]:
    """(host, port) of each address, in order and once each. Words that are none are passed over."""
    found: dict[tuple[str, int], None] = {}
    for word in re.split(r"[\s;,]+", mon_host.strip()):
        match = _ADDRESS.fullmatch(word)
        host = _host(match) if match else ""
        port = int(match["port"] or 0) if match else 0
        if match and host and port < 1 << 16:
            ports = (port,) if port else _DEFAULT_PORTS[match["type"] or "any"]
            found.update(dict.fromkeys((host, number) for number in ports))
    return list(found)


def _host(match: re.Match[str]) -> str:
    address = match["v6"] or match["bare"]
    if address is None:
        return match["name"] if _NAME.fullmatch(match["name"]) else ""
    try:
        return str(ipaddress.IPv6Address(address))
    except ValueError:
        return ""
