"""A small XML-RPC client on a plain socket: the standard library's client takes a driver 30 ms to load
(docs/measured.md).

One connection for each call and HTTP/1.0, so that an answer is never chunked. No redirects, no proxies.
"""
from __future__ import annotations

import re
import socket
import time
from typing import Any

from lxml import etree

_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[^/:@\s]+)(?::([0-9]{1,5}))?(/\S*)?")
_DATE = "%a, %d %b %Y %H:%M:%S GMT"  # oned 7.4 writes UTC instead of GMT
_CHUNK = 1 << 20
_LONGEST_HEAD = 1 << 16


class TransportError(Exception):
    """No answer, or not an XML-RPC answer."""


class Fault(Exception):
    """The server's own error."""

    def __init__(self, code: int, text: str):
        super().__init__(text)
        self.code, self.text = code, text


def call(url: str, method: str, arguments: tuple[Any, ...], limit_s: float) -> Any:
    """The answer to one call: str, int, bool, float or lists of these. `limit_s` limits each wait for the
    network.

    Arguments are str, int or bool. Raises TransportError and Fault.
    """
    params = "".join(f"<param><value>{_value(argument)}</value></param>" for argument in arguments)
    body = (
        "<?xml "
        f"version='1.0'?><methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>"
    )
    _, answer = _exchange(url, body, limit_s)
    try:
        return _parse(answer)
    except (UnicodeError, OverflowError) as error:
        raise TransportError(str(error)) from error


def server_clock(url: str, limit_s: float) -> tuple[float, float]:
    """The least and the most by which the server's clock is ahead of ours, in seconds.

    Its answers contain the time (`Date`) in whole seconds; raises TransportError when they do not.
    """
    import calendar  # only checks need it

    before = time.time()
    lines, _ = _exchange(url, "<methodCall><methodName>system.listMethods</methodName></methodCall>", limit_s)
    after = time.time()
    date = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("date:")), "")
    try:
        there = calendar.timegm(time.strptime(date.replace("UTC", "GMT"), _DATE))
    except ValueError as error:
        raise TransportError(f"its answer does not contain the time ({date!r})") from error
    return there - after, there + 1 - before


def _exchange(url: str, body: str, limit_s: float) -> tuple[list[str], bytes]:
    match = _URL.fullmatch(url)
    if not match:
        raise TransportError(f"{url!r} is not the address of an XML-RPC server")
    scheme, host, port, path = match.groups()
    head = f"POST {path or '/RPC2'} HTTP/1.0\r\nHost: {host}\r\nContent-Type: text/xml\r\n"
    try:
        with _connect(
            scheme, host.strip("[]"), int(port or (443 if scheme == "https" else 80)), limit_s
        ) as connection:
            data = body.encode()
            connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
            return _read(connection)
    except (OSError, UnicodeError, OverflowError) as error:
        raise TransportError(str(error)) from error


def _value(argument: Any) -> str:
    if isinstance(argument, bool):
        return f"<boolean>{int(argument)}</boolean>"
    if isinstance(argument, int):
        return f"<int>{argument}</int>"
    text = (
        str(argument).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    )
    return f"<string>{text}</string>"


def _connect(scheme: str, host: str, port: int, limit_s: float) -> socket.socket:
    connection = socket.create_connection((host, port), timeout=limit_s)
    if scheme == "http":
        return connection
    import ssl  # only front-ends behind TLS need it

    return ssl.create_default_context().wrap_socket(connection, server_hostname=host)


def _read(connection: socket.socket) -> tuple[list[str], bytes]:
    """Header lines and body of an HTTP answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(_CHUNK)
        if not chunk or len(data) > _LONGEST_HEAD:
            raise TransportError("it closed the connection" if not data else "its answer is not HTTP")
        data += chunk
    head, _, first = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    if not re.match(r"HTTP/1\.[01] 200\b", status):
        raise TransportError(status[:100])
    lengths = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("content-length:")]
    expected = int(lengths[0]) if lengths and lengths[0].isdigit() else None
    parts, size = [first], len(first)
    while expected is None or size < expected:
        chunk = connection.recv(_CHUNK)
        if not chunk:
            break
        parts.append(chunk)
        size += len(chunk)
    if expected is not None and size < expected:
        raise TransportError(f"its answer ended after {size} of {expected} bytes")
    return lines, b"".join(parts)


def _parse(body: bytes) -> Any:
    # An answer is one text node that may be larger than 10 MB, hence huge_tree.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        raise TransportError(f"its answer is not XML: {error.msg}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise TransportError("its answer has a document type declaration")
    fault = root.find("fault/value")
    if fault is not None:
        members = {
            member.findtext("name"): member.find("value") for member in fault.iterfind("struct/member")
        }
        code, text = (_python(members.get(name)) for name in ("faultCode", "faultString"))
        raise Fault(code if isinstance(code, int) else 0, str(text))
    return _python(root.find("params/param/value"))


def _python(value: etree._Element | None) -> Any:
    if value is None:
        raise TransportError("its answer is not XML-RPC")
    if not len(value):
        return value.text or ""
    inner = value[0]
    if inner.tag == "array":
        return [_python(item) for item in inner.iterfind("data/value")]
    text = inner.text or ""
    try:
        if inner.tag in ("int", "i4", "i8"):
            return int(text)
        if inner.tag == "boolean":
            return text.strip() == "1"
        return float(text) if inner.tag == "double" else text
    except ValueError as error:
        raise TransportError(f"its answer has {inner.tag} {text[:50]!r}") from error
