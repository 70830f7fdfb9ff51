"""Unix sockets below a front-end's var/: messages with a length in front, paths of any length."""
from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

EVENTS = "hookd.sock"
RECORDS = "hook-records.sock"
TIME_LIMIT = 5.0


def _short(path: Path) -> tuple[int, str]:
    """A name that fits into the 108 bytes of sun_path, and the descriptor that keeps it valid."""
    descriptor = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    return descriptor, f"/proc/self/fd/{descriptor}/{path.name}"


def listen(path: Path) -> socket.socket:
    """A listening socket; a stale file of a killed process is replaced."""
    path.unlink(missing_ok=True)
    descriptor, name = _short(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(name)
    finally:
        os.close(descriptor)
    made.listen(64)
    return made


def connect(path: Path) -> socket.socket:
    """A connection; OSError when nobody listens."""
    descriptor, name = _short(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(TIME_LIMIT)
    try:
        made.connect(name)
    except OSError:
        made.close()
        raise
    finally:
        os.close(descriptor)
    return made


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """One message."""
    body = json.dumps(message).encode()
    connection.sendall(struct.pack("!I", len(body)) + body)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """One message, None at the end."""
    head = _exactly(connection, 4)
    if head is None:
        return None
    body = _exactly(connection, struct.unpack("!I", head)[0])
    if body is None:
        return None
    message: dict[str, Any] = json.loads(body)
    return message


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)
