"""A Ceph daemon's admin socket: answers also while the monitors take the daemon for dead."""
from __future__ import annotations

import json
import socket
import struct
from typing import Any

from sandbox import processes
from sandbox.layout import Site
from sandbox.waiting import SandboxError


def ask(site: Site, daemon: str, name: str, prefix: str, limit_s: float = 10) -> Any:
    """The decoded answer of the site's running `daemon` (Ceph calls it `name`, as osd.0) to a command.

    Raises SandboxError when it does not run or answer.
    """
    path = site.folder / f"{name}.{processes.running(site, daemon)}.asok"
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(limit_s)
            line.connect(str(path))
            line.sendall(json.dumps({"prefix": prefix, "format": "json"}).encode() + b"\0")
            answer = line.makefile("rb")
            (length,) = struct.unpack(">I", answer.read(4))
            text = answer.read(length)
        return json.loads(text) if text.strip() else None
    except (OSError, struct.error, json.JSONDecodeError) as e:  # text that is no JSON: it starts
        raise SandboxError(f"{prefix} at {path}: {e}") from e
