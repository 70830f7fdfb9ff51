"""Rules by which addresses of one site become addresses of the other, both ways. Pure.

An explicit address goes before a subnet, a longer subnet before a shorter one, a subnet before a pattern. A
rule is used only where the way back gives the same address again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple, Union

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Subnet = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
_OCTET, _GROUP = re.compile(r"\*|[0-9]{1,3}"), re.compile(r"\*|[0-9a-fA-F]{1,4}")
_FORMS = "an address, a subnet such as 10.0.1.0/24, or a pattern such as 10.0.*.*"


class Pattern(NamedTuple):
    """Parts of an address: its numbers, None for a `*`. Four parts for IPv4, eight for IPv6."""

    parts: tuple[int | None, ...]

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.parts) == 4 else 6


Side = Union[Address, Subnet, Pattern]


class AddressRule(NamedTuple):
    """What addresses are called at the first site and at the second."""

    sides: tuple[Side, Side]


def read_rule(first: str, second: str) -> AddressRule:
    """A rule from its two sides as text. Raises ValueError that says what to write."""
    sides = (_side(first), _side(second))
    if type(sides[0]) is not type(sides[1]):
        raise ValueError(f"{first} and {second} are not of one kind: both are {_FORMS}, IPv4 or IPv6")
    one, other = sides
    if _is_subnet(one) and _is_subnet(other) and one.prefixlen != other.prefixlen:  # type: ignore[union-attr]
        raise ValueError(
            f"{first} and {second} have different sizes: use two subnets with the same prefix length"
        )
    if (
        isinstance(one, Pattern)
        and isinstance(other, Pattern)
        and (one.version != other.version or one.parts.count(None) != other.parts.count(None))
    ):
        raise ValueError(f"{first} and {second} do not have the same number of *")
    return AddressRule(sides)


def _is_subnet(side: Side) -> bool:
    return isinstance(side, (ipaddress.IPv4Network, ipaddress.IPv6Network))


def _side(text: str) -> Side:
    if "*" in text:
        return _pattern(text)
    try:
        return ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is neither {_FORMS} ({error})") from None


def _pattern(text: str) -> Pattern:
    octets, groups = text.split("."), text.split(":")
    if len(octets) == 4 and all(map(_OCTET.fullmatch, octets)):
        parts = tuple(None if part == "*" else int(part) for part in octets)
        if all(part is None or part < 256 for part in parts):
            return Pattern(parts)
    if len(groups) == 8 and all(map(_GROUP.fullmatch, groups)):
        return Pattern(tuple(None if part == "*" else int(part, 16) for part in groups))
    raise ValueError(
        f"{text!r} is no pattern: write 10.0.*.* or, for IPv6, all eight groups 2001:db8:a:1:*:*:*:*"
    )


def as_text(side: Side) -> str:
    """A side as it is written in the file."""
    if not isinstance(side, Pattern):
        return str(side)
    if side.version == 4:
        return ".".join("*" if part is None else str(part) for part in side.parts)
    return ":".join("*" if part is None else f"{part:x}" for part in side.parts)


def map_address(rules: Iterable[AddressRule], address: str, source: int) -> str | None:
    """The address at the other site of one at site `source` (0 or 1); None where no rule matches.

    Raises ValueError where the way back would give another address.
    """
    ordered = tuple(rules)
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return None
    found = _apply(ordered, given, source)
    if found is None:
        return None
    back = _apply(ordered, found, 1 - source)
    if back != given:
        raise ValueError(
            f"{address} would become {found}, which belongs to {back}: give {address} a rule of its own"
        )
    return str(found)


def _apply(rules: tuple[AddressRule, ...], address: Address, source: int) -> Address | None:
    matching = [rule for rule in rules if _matches(rule.sides[source], address)]
    if not matching:
        return None
    best = min(matching, key=lambda rule: _width(rule.sides[source]))
    return _moved(address, best.sides[source], best.sides[1 - source])


def _matches(side: Side, address: Address) -> bool:
    if isinstance(side, Pattern):
        own = _parts(address)
        return len(own) == len(side.parts) and all(
            part is None or part == number for part, number in zip(side.parts, own)
        )
    if isinstance(side, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return side.version == address.version and address in side
    return side == address


def _width(side: Side) -> tuple[int, int]:
    """How much a side matches: the least comes first."""
    if isinstance(side, Pattern):
        return 2, side.parts.count(None)
    if isinstance(side, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return 1, -side.prefixlen
    return 0, 0


def _moved(address: Address, source: Side, target: Side) -> Address:
    if isinstance(source, Pattern) and isinstance(target, Pattern):
        stars = iter(number for part, number in zip(source.parts, _parts(address)) if part is None)
        return _address(tuple(next(stars) if part is None else part for part in target.parts))
    if isinstance(source, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        assert isinstance(target, (ipaddress.IPv4Network, ipaddress.IPv6Network))
        return type(address)(int(target.network_address) + int(address) - int(source.network_address))
    assert isinstance(target, (ipaddress.IPv4Address, ipaddress.IPv6Address))
    return target


def _parts(address: Address) -> tuple[int, ...]:
    packed = address.packed
    if address.version == 4:
        return tuple(packed)
    return tuple(int.from_bytes(packed[at : at + 2], "big") for at in range(0, 16, 2))


def _address(parts: tuple[int, ...]) -> Address:
    if len(parts) == 4:
        return ipaddress.IPv4Address(bytes(parts))
    return ipaddress.IPv6Address(b"".join(part.to_bytes(2, "big") for part in parts))
