"""Do the peer's monitors answer? Against real sockets on loopback."""
from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from onedr.ceph import monitor_ping
from onedr.model.types import PeerState

LIMIT_S = 5.0


@contextmanager
def listening(banner: bytes | None, after_s: float = 0.0) -> Iterator[int]:
    """A server on loopback.

    It greets with `banner`, this late, and hangs up; with None it says nothing as long as it lives.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, ExitStack() as held:
        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                if banner is None:
                    held.enter_context(connection)
                    continue
                with connection:
                    time.sleep(after_s)
                    connection.sendall(banner)

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def refusing() -> Iterator[int]:
    """A port that is bound and not listening: every connection is refused."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def at(*ports: int) -> str:
    return ",".join(f"[v2:127.0.0.1:{port}/0]" for port in ports)


@pytest.mark.parametrize("banner", [b"ceph v2\n" + b"\0" * 20, b"ceph v027" + b"\0" * 300])
def test_a_monitor_that_greets_answers(banner: bytes) -> None:
    with listening(banner) as port:
        assert monitor_ping.ping_monitors(at(port), LIMIT_S) == (
            PeerState.ANSWERS,
            f"monitor 127.0.0.1:{port} greets",
        )


def test_one_that_greets_among_others_is_enough() -> None:
    with refusing() as closed, listening(b"ceph v2\n") as port:
        assert monitor_ping.ping_monitors(at(closed, port), LIMIT_S)[0] is PeerState.ANSWERS
        assert monitor_ping.ping_monitors(at(port, closed), LIMIT_S)[0] is PeerState.ANSWERS


def test_monitors_that_all_refuse_are_gone() -> None:
    with refusing() as one, refusing() as other:
        peer, text = monitor_ping.ping_monitors(at(one, other), LIMIT_S)
    assert peer is PeerState.GONE
    assert "127.0.0.1 refuse" in text


def test_silence_is_not_death() -> None:
    with listening(None) as port:
        peer, text = monitor_ping.ping_monitors(at(port), 0.1)
    assert peer is PeerState.UNKNOWN
    assert "0.1 s" in text


@contextmanager
def silent() -> Iterator[int]:
    """A port at which connections are neither taken nor refused, as behind a cut line: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as held:
        for _ in range(3):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_a_connection_that_is_not_taken_ends_sooner_than_a_greeting_that_is_late() -> None:
    with silent() as port:
        begun = time.monotonic()
        peer, text = monitor_ping.ping_monitors(at(port), 60, connect_s=0.2)
    assert (peer, time.monotonic() - begun < 30) == (PeerState.UNKNOWN, True) and "within 0.2 s" in text
    with listening(b"ceph v2\n", after_s=0.5) as port:
        assert monitor_ping.ping_monitors(at(port), 60, connect_s=0.2)[0] is PeerState.ANSWERS


@pytest.mark.parametrize("banner", [b"SSH-2.0-OpenSSH\r\n", b"", b"HTTP/1.1 400\r\n"])
def test_something_else_on_the_port_is_not_a_monitor_and_not_proof_of_death(banner: bytes) -> None:
    with listening(banner) as port:
        assert monitor_ping.ping_monitors(at(port), LIMIT_S)[0] is PeerState.UNKNOWN


def test_one_silent_monitor_forbids_to_say_gone() -> None:
    with refusing() as closed, listening(None) as port:
        assert monitor_ping.ping_monitors(at(closed, port), 0.1)[0] is PeerState.UNKNOWN


@pytest.mark.parametrize("text", ["", " , ", "-", "[v3:127.0.0.1:1/0]", "[", "::::"])
def test_without_a_known_address_nothing_is_known(text: str) -> None:
    assert monitor_ping.ping_monitors(text, LIMIT_S) == (PeerState.UNKNOWN, "no address of its monitors is known")


@pytest.mark.parametrize("text", ["[v2:127.0.0.1:99999/0]", "[v2:127.0.0.1:0/0]", "[v2:-:3300/0]"])
def test_an_address_nobody_can_have_is_never_taken_for_a_dead_peer_or_a_crash(text: str) -> None:
    assert monitor_ping.ping_monitors(text, LIMIT_S)[0] in (PeerState.UNKNOWN, PeerState.GONE)
