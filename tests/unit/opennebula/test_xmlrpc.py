"""The XML-RPC client: what the standard library's client makes of recorded and made-up answers; one error
for all the rest.
"""
from __future__ import annotations

import socket
import threading
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from xmlrpc.server import SimpleXMLRPCServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import XML_TEXT

from onedr.opennebula import xmlrpc as opennebula_xmlrpc
from onedr.opennebula.xmlrpc import Fault, TransportError

RECORDED = sorted(Path(__file__).parents[2].glob("contract/wire/xmlrpc/*/response.xml"))


@contextmanager
def echo() -> Iterator[str]:
    """A server of the standard library that gives back what it gets."""
    with SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False) as server:
        server.register_function(lambda *arguments: list(arguments), "one.echo")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/RPC2"
        server.shutdown()
        thread.join()


@contextmanager
def says(answer: bytes) -> Iterator[str]:
    """A server that says these bytes to one caller, whatever he asks, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_there_are_recorded_answers() -> None:
    assert len(RECORDED) > 50


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_recorded_answers_read_as_the_standard_library_reads_them(path: Path) -> None:
    body = path.read_bytes()
    try:
        (wanted,), _ = xmlrpc.client.loads(body)
    except xmlrpc.client.Fault as fault:
        with pytest.raises(Fault) as caught:
            opennebula_xmlrpc._parse(body)
        assert (caught.value.code, caught.value.text) == (fault.faultCode, fault.faultString)
        return
    found = opennebula_xmlrpc._parse(body)
    assert found == wanted and [type(item) for item in found] == [type(item) for item in cast("list[object]", wanted)]


@given(
    st.lists(
        st.booleans() | st.integers(-(2**31), 2**31 - 1) | XML_TEXT.map(lambda text: f"{text}<&>]]>\r\n "),
        max_size=5,
    )
)
def test_what_is_sent_is_what_the_standard_library_would_send(arguments: list[bool | int | str]) -> None:
    params = "".join(
        f"<param><value>{opennebula_xmlrpc._value(argument)}</value></param>" for argument in arguments
    )
    text = f"<methodCall><methodName>one.x</methodName><params>{params}</params></methodCall>"
    assert xmlrpc.client.loads(text) == (tuple(arguments), "one.x")


def test_a_call_goes_there_and_back() -> None:
    with echo() as url:
        sent = (True, 7, "ü <&> \n", "x" * 12_000_000)
        assert opennebula_xmlrpc.call(url, "one.echo", sent, 20) == list(sent)
        with pytest.raises(Fault, match="not supported"):
            opennebula_xmlrpc.call(url, "one.nothing", (), 20)


def http(body: bytes, *, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        len(body) if length is None else length,
        body,
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0" * 100_000,
        b"SSH-2.0-OpenSSH\r\n\r\n",
        http(b"", status=b"404 Not Found"),
        http(b""),
        http(b"<a"),
        http(b"<a/>"),
        http(b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>"),
        http(b"<methodResponse/>", length=9_999),
        http(b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'),
    ],
)
def test_anything_else_is_one_kind_of_error(answer: bytes) -> None:
    with says(answer) as url, pytest.raises(TransportError) as caught:
        opennebula_xmlrpc.call(url, "one.x", (), 5)
    assert str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "http://", "ftp://h/", "http://h:99999/", "http://a b/", "http://\ud800/", "http://[::1"]
)
def test_no_address_no_call(url: str) -> None:
    with pytest.raises(TransportError):
        opennebula_xmlrpc.call(url, "one.x", (), 1)


def test_silence_ends_at_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(TransportError, match="timed out"):
        opennebula_xmlrpc.call(f"http://127.0.0.1:{server.getsockname()[1]}/", "one.x", (), 0.05)


def test_the_servers_clock_is_known_within_a_second() -> None:
    with echo() as url:
        least, most = opennebula_xmlrpc.server_clock(url, 5)
    assert -2 < least <= 0 <= most < 2


@pytest.mark.parametrize("zone", ["GMT", "UTC"])  # as a proxy says it, and as oned 7.4 does
def test_a_clock_that_is_ahead_is_told_as_such(zone: str) -> None:
    ahead = time.strftime(f"%a, %d %b %Y %H:%M:%S {zone}", time.gmtime(time.time() + 3600))
    with says(f"HTTP/1.0 200 OK\r\nDate: {ahead}\r\nContent-Length: 2\r\n\r\nok".encode()) as url:
        least, most = opennebula_xmlrpc.server_clock(url, 5)
    assert 3590 < least <= 3600 <= most < 3602


@pytest.mark.parametrize("date", ["", "Date: soon\r\n", "Date: Mon, 23 Nov 2026 12:57:51 CET\r\n"])
def test_an_answer_that_does_not_say_the_time(date: str) -> None:
    with (
        says(f"HTTP/1.0 200 OK\r\n{date}Content-Length: 2\r\n\r\nok".encode()) as url,
        pytest.raises(TransportError),
    ):
        opennebula_xmlrpc.server_clock(url, 5)
