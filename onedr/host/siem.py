"""Entries of the history for a SIEM: RFC 5424 syslog with structured data, to the address of onedr.conf.

Loaded when a run's journal is closed, never by a driver that only logs. See docs/log.md.
"""
from __future__ import annotations

import logging
import os
import socket
import sys
import time
from logging.handlers import DatagramHandler
from typing import Any

from onedr.host import config, log
from onedr.model.errors import InputError
from onedr.model.text import printable

SD_ID = "onedr@32473"  # the enterprise number that RFC 5612 leaves to whoever has none
FIELDS = ("run", "datastore", "verb", "result", "person", "trigger", "link", "digest")
_AUDIT = 13  # the facility "log audit"
_SEVERITY = {"INFO": 5, "WARNING": 4}  # notice, warning
_VALUE, _WHOLE = 128, 2048  # octets: of a value, and of a message, which receivers should take (6.1)
_BOM = b"\xef\xbb\xbf"  # says that the text is UTF-8


class _Siem(DatagramHandler):
    """`host`, `port`: by UDP; with `port` 0 `host` is the path of a Unix datagram socket."""

    def __init__(self, host: str, port: int):
        super().__init__(host, port or None)

    def makeSocket(self, timeout: float = 1) -> socket.socket:
        """As in logging, and IPv6 too."""
        if self.port is None:
            return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        family = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)[0][0]
        return socket.socket(family, socket.SOCK_DGRAM)

    def send(self, s: Any) -> None:
        """At once, or an error: none is passed over."""
        if self.sock is None:
            self.sock = self.makeSocket()
        self.sock.sendto(s, self.address)

    def makePickle(self, record: logging.LogRecord) -> bytes:
        """What is sent of a record: no pickle, but a line of syslog."""
        return message(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """A receiver that is away fails no run; the log has the entry, and this."""
        place = self.host if self.port is None else f"{self.host}:{self.port}"
        log.warning(f"an entry of the history was not sent to {place}: {sys.exc_info()[1]}")


def message(record: logging.LogRecord) -> bytes:
    """A record as RFC 5424 has it; `record.siem`: its fields by name, unknown ones left out."""
    fields = getattr(record, "siem", {})
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    host = "".join(letter for letter in socket.gethostname() if "!" <= letter <= "~")[:255] or "-"
    params = "".join(f' {name}="{escaped(str(fields[name]))}"' for name in FIELDS if name in fields)
    priority = _AUDIT * 8 + _SEVERITY.get(record.levelname, 3)
    head = f"<{priority}>1 {at}.{int(record.msecs):03}Z {host} onedr {os.getpid()} HISTORY [{SD_ID}{params}] "
    found = head.encode() + _BOM + printable(record.getMessage()).encode(errors="replace")
    return found[:_WHOLE].decode(errors="ignore").encode()  # no half letter at the end


def escaped(text: str) -> str:
    """Text as a PARAM-VALUE (6.3.3), cut to _VALUE octets; a control character becomes a ?."""
    found = b""
    for letter in printable(text):
        octets = (f"\\{letter}" if letter in '\\"]' else letter).encode(errors="replace")
        if len(found) + len(octets) > _VALUE:
            break
        found += octets
    return found.decode()


def attach() -> None:
    """From now on entries of the history go to the SIEM too; on a bridge host the front-end sends them. A
    mistake in onedr.conf is logged.
    """
    logger = logging.getLogger(log.NAME).getChild(log.HISTORY)
    if log.is_relayed() or any(isinstance(each, _Siem) for each in logger.handlers):
        return
    try:
        where = config.load_config().siem
    except InputError as error:
        log.warning(f"entries of the history go to no SIEM: {error}")
        return
    if where is not None:
        logger.addHandler(_Siem(*where))
