"""Every form of `mon_host` that Ceph's own parser takes is read."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.ceph.mon_host import addresses


@pytest.mark.parametrize(("text", "found"), [
    ("[v2:10.0.0.1:3300/0,v1:10.0.0.1:6789/0]", [("10.0.0.1", 3300), ("10.0.0.1", 6789)]),
    ("[v2:10.0.0.1:3300],[v2:10.0.0.2:3300]", [("10.0.0.1", 3300), ("10.0.0.2", 3300)]),
    ("[v2:10.0.0.1:3300] [v2:10.0.0.2:3300]", [("10.0.0.1", 3300), ("10.0.0.2", 3300)]),
    ("v2:10.0.0.1:3300/0", [("10.0.0.1", 3300)]),
    ("v1:10.0.0.1", [("10.0.0.1", 6789)]),
    ("v2:10.0.0.1", [("10.0.0.1", 3300)]),
    ("any:10.0.0.1:0/0", [("10.0.0.1", 3300), ("10.0.0.1", 6789)]),
    ("[v2:[fd00::1]:3300/0,v1:[fd00::1]:6789/0]", [("fd00::1", 3300), ("fd00::1", 6789)]),
    ("192.0.2.1", [("192.0.2.1", 3300), ("192.0.2.1", 6789)]),
    ("192.0.2.1:6789", [("192.0.2.1", 6789)]),
    ("192.0.2.1:6789, 192.0.2.2:6789;192.0.2.3:1", [("192.0.2.1", 6789), ("192.0.2.2", 6789), ("192.0.2.3", 1)]),
    ("[2001:db8::1]", [("2001:db8::1", 3300), ("2001:db8::1", 6789)]),
    ("[2001:db8::1]:3300", [("2001:db8::1", 3300)]),
    ("2001:db8::1", [("2001:db8::1", 3300), ("2001:db8::1", 6789)]),
    ("[[2001:db8::1]:3300,[2001:db8::2]:3300]", [("2001:db8::1", 3300), ("2001:db8::2", 3300)]),
    ("[10.0.0.1:3300,10.0.0.1:6789]", [("10.0.0.1", 3300), ("10.0.0.1", 6789)]),
    ("mon-a.example", [("mon-a.example", 3300), ("mon-a.example", 6789)]),
    ("mon-a.example:3300 mon-b.example:6789", [("mon-a.example", 3300), ("mon-b.example", 6789)]),
    ("[v2:mon-a.example:3300/0]", [("mon-a.example", 3300)]),
    ("10.0.0.1:1,10.0.0.1:1", [("10.0.0.1", 1)]),
    ("[v2:10.0.0.1:123456/0]", []), ("[v2:10.0.0.1:99999/0]", []), ("", []), ("-", []), ("v3:10.0.0.1", []),
])
def test_addresses_are_read_as_ceph_reads_them(text: str, found: list[tuple[str, int]]) -> None:
    assert addresses(text) == found


_PORTS = st.integers(1, 65535)
_V4 = st.ip_addresses(v=4).map(str)
_V6 = st.ip_addresses(v=6).map(str)
_NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9](\.[a-z]{2,5})?", fullmatch=True)
_TYPES = st.sampled_from(["", "v1:", "v2:", "any:"])
_NONCES = st.just("") | st.integers(0, 1 << 31).map("/{}".format)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, tuple[str, int]]:
    """An address with a port, as somebody may write it, and what it is."""
    host = draw(_V4 | _V6 | _NAMES)
    port = draw(_PORTS)
    shown = f"[{host}]" if ":" in host else host
    return f"{draw(_TYPES)}{shown}:{port}{draw(_NONCES)}", (host, port)


@given(st.lists(written(), max_size=6), st.sampled_from([",", " ", ";", ", ", " , "]), st.booleans())
def test_what_is_written_is_found_again_in_order(
    entries: list[tuple[str, tuple[str, int]]], separator: str, vector: bool
) -> None:
    text = separator.join(word for word, _ in entries)
    if vector and entries:
        text = f"[{','.join(word for word, _ in entries)}]"
    assert addresses(text) == list(dict.fromkeys(address for _, address in entries))


@given(st.text(alphabet="v12any:[]/.,; 0af-\u00fc\n", max_size=60) | st.text(max_size=60))
def test_any_text_is_read_without_an_error_and_ports_are_ports(text: str) -> None:
    for host, port in addresses(text):
        assert host and not set(host) & set("[],; /") and 0 < port < 1 << 16
