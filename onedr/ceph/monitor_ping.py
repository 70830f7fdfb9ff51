"""Do the peer's Ceph daemons answer?

A TCP look: a monitor or an OSD greets every caller with its banner, no key needed. What refuses or is silent
is a hint that it does not run; it is no evidence that its site is dead.
"""
from __future__ import annotations

import socket
import time
from collections.abc import Iterable

from onedr.ceph.mon_host import addresses as mon_host_addresses
from onedr.host import threads
from onedr.model.types import PeerState

_BANNER = b"ceph v"
_PAUSE_S = 0.5


def monitors(mon_host: str, limit_s: float) -> tuple[PeerState, str]:
    """What the peer's monitors do, and a sentence with the addresses.

    ANSWERS: at least one greeted. GONE: every address refused. UNKNOWN: silence, which a dead machine and a
    cut line have in common; or no address is known.
    """
    known = mon_host_addresses(mon_host)
    if not known:
        return PeerState.UNKNOWN, "no address of its monitors is known"
    results = _look_at_all(known, limit_s)
    for (host, port), result in results.items():
        if result is PeerState.ANSWERS:
            return PeerState.ANSWERS, f"monitor {host}:{port} greets"
    places = ", ".join(sorted({host for host, _ in known}))
    if all(result is PeerState.GONE for result in results.values()):
        return PeerState.GONE, f"its monitors at {places} refuse every connection"
    return PeerState.UNKNOWN, f"no answer from its monitors at {places} within {limit_s:g} s"


def answering(known: Iterable[tuple[str, int]], limit_s: float) -> set[tuple[str, int]]:
    """Those of the addresses at which a daemon of Ceph greets."""
    results = _look_at_all(list(known), limit_s)
    return {address for address, result in results.items() if result is PeerState.ANSWERS}


def _look_at_all(known: list[tuple[str, int]], limit_s: float) -> dict[tuple[str, int], PeerState]:
    """All at once: silence costs the limit once, not for each."""
    results = dict.fromkeys(known, PeerState.UNKNOWN)

    def look(address: tuple[str, int]) -> None:
        results[address] = _look(address, limit_s)

    for thread in [threads.start(look, address) for address in results]:
        thread.join(3 * limit_s)  # a name may have several addresses
    return results


def _look(address: tuple[str, int], limit_s: float) -> PeerState:
    try:
        with socket.create_connection(address, timeout=limit_s) as connection:
            connection.settimeout(limit_s)
            return PeerState.ANSWERS if connection.recv(len(_BANNER)) == _BANNER else PeerState.UNKNOWN
    except ConnectionRefusedError:
        return PeerState.GONE
    except (OSError, OverflowError):  # no route, no answer, or a port there cannot be
        return PeerState.UNKNOWN


def port(host: str, number: int, limit_s: float) -> bool:
    """Does a TCP port take a connection, tried until the limit is over?"""
    end = time.monotonic() + limit_s
    while True:
        try:
            with socket.create_connection((host, number), timeout=max(0.5, min(5.0, end - time.monotonic()))):
                return True
        except (OSError, OverflowError):
            if time.monotonic() >= end:
                return False
            time.sleep(_PAUSE_S)
