"""Do the peer's Ceph daemons answer?

A TCP look: a monitor or an OSD greets every caller with its banner, no key needed. What refuses or is silent
is a hint that it does not run; it is no evidence that its site is dead.
"""
from __future__ import annotations

import socket
from collections.abc import Iterable

from onedr.ceph.mon_host import addresses as mon_host_addresses
from onedr.host import threads
from onedr.host.waiting import wait_until
from onedr.model.types import PeerState

_BANNER = b"ceph v"
_PAUSE_S = 0.5


def ping_monitors(
    mon_host: str, limit_s: float, connect_s: float | None = None
) -> tuple[PeerState, str]:
    """The state of the peer's monitors, and a sentence with their addresses.

    ANSWERS: at least one greeted. GONE: every address refused. UNKNOWN: silence, which a dead machine and a
    cut line have in common; or no address is known. `connect_s`: the limit until the other machine's kernel
    has taken the connection, by default as long as its monitor may take to greet.
    """
    silent_s = limit_s if connect_s is None else connect_s
    known = mon_host_addresses(mon_host)
    if not known:
        return PeerState.UNKNOWN, "no address of its monitors is known"
    results = _ping_all(known, limit_s, silent_s)
    for (host, port), result in results.items():
        if result is PeerState.ANSWERS:
            return PeerState.ANSWERS, f"monitor {host}:{port} greets"
    places = ", ".join(sorted({host for host, _ in known}))
    if all(result is PeerState.GONE for result in results.values()):
        return PeerState.GONE, f"its monitors at {places} refuse every connection"
    return PeerState.UNKNOWN, f"no answer from its monitors at {places} within {silent_s:g} s"


def answering(
    known: Iterable[tuple[str, int]], limit_s: float, connect_s: float | None = None
) -> set[tuple[str, int]]:
    """Those of the addresses at which a daemon of Ceph greets; limits as of `ping_monitors`."""
    results = _ping_all(list(known), limit_s, limit_s if connect_s is None else connect_s)
    return {address for address, result in results.items() if result is PeerState.ANSWERS}


def _ping_all(
    known: list[tuple[str, int]], limit_s: float, connect_s: float
) -> dict[tuple[str, int], PeerState]:
    """All at once, so that silent monitors cost the time limit only once."""
    results = dict.fromkeys(known, PeerState.UNKNOWN)

    def ping(address: tuple[str, int]) -> None:
        results[address] = _ping(address, limit_s, connect_s)

    for thread in [threads.start(ping, address) for address in results]:
        thread.join(3 * limit_s)  # a name may have several addresses
    return results


def _ping(address: tuple[str, int], limit_s: float, connect_s: float) -> PeerState:
    try:
        with socket.create_connection(address, timeout=connect_s) as connection:
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
