"""Do Ceph monitors answer?

A monitor sends its banner on every TCP connection; no key is needed.
"""
from __future__ import annotations

import re
import socket

from onedr.host import threads
from onedr.host.waiting import wait_until
from onedr.model.types import PeerState

_ADDRESS = re.compile(r"v[12]:(\[[0-9a-fA-F:]+\]|[^\[\]:/,]+):([0-9]{1,5})(?![0-9])")
_BANNER = b"ceph v"
_PAUSE_S = 0.5


def addresses(mon_host: str) -> list[tuple[str, int]]:
    """(host, port) of each monitor address in a text such as `[v2:10.0.0.1:3300,v1:10.0.0.1:6789]`."""
    return [(host.strip("[]"), int(port)) for host, port in _ADDRESS.findall(mon_host)]


def ping_monitors(mon_host: str, limit_s: float) -> tuple[PeerState, str]:
    """The state of the peer's monitors, and a sentence with their addresses.

    ANSWERS: at least one sent its banner. GONE: every address refused the connection, so the machines run but
    not the monitors. UNKNOWN: no answer, as from a dead machine or over a broken link, or no address is
    known.
    """
    known = addresses(mon_host)
    if not known:
        return PeerState.UNKNOWN, "no address of its monitors is known"
    results = _ping_all(known, limit_s)
    for (host, port), result in results.items():
        if result is PeerState.ANSWERS:
            return PeerState.ANSWERS, f"monitor {host}:{port} greets"
    places = ", ".join(sorted({host for host, _ in known}))
    if all(result is PeerState.GONE for result in results.values()):
        return PeerState.GONE, f"its monitors at {places} refuse every connection"
    return PeerState.UNKNOWN, f"no answer from its monitors at {places} within {limit_s:g} s"


def _ping_all(known: list[tuple[str, int]], limit_s: float) -> dict[tuple[str, int], PeerState]:
    """All at once, so that silent monitors cost the time limit only once."""
    results = dict.fromkeys(known, PeerState.UNKNOWN)

    def ping(address: tuple[str, int]) -> None:
        results[address] = _ping(address, limit_s)

    for thread in [threads.start(ping, address) for address in results]:
        thread.join(3 * limit_s)  # a name may have several addresses
    return results


def _ping(address: tuple[str, int], limit_s: float) -> PeerState:
    try:
        with socket.create_connection(address, timeout=limit_s) as connection:
            connection.settimeout(limit_s)
            return PeerState.ANSWERS if connection.recv(len(_BANNER)) == _BANNER else PeerState.UNKNOWN
    except ConnectionRefusedError:
        return PeerState.GONE
    except (OSError, OverflowError):  # no route, no answer, or an invalid port
        return PeerState.UNKNOWN


def port_answers(host: str, number: int, limit_s: float) -> bool:
    """Does a TCP port accept a connection within the time limit?"""
    def connects() -> bool:
        try:
            with socket.create_connection((host, number), timeout=max(0.5, min(5.0, limit_s))):
                return True
        except (OSError, OverflowError):
            return False

    return wait_until(connects, limit_s, _PAUSE_S)
