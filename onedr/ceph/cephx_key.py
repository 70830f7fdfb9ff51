"""Types of cephx keys: which ones this machine's Ceph can read.

Ceph 19.2.6 and 20.2.4 make keys of type aes256k, which older releases cannot parse (docs/ceph-facts.md C47).
"""
from __future__ import annotations

import base64
import os
import struct
import sys
import time

from onedr.host.process import ProcessError, run_program

_HEAD = struct.Struct("<HIIH")  # type, created (s, ns), bytes of the secret that follow
NAMES = {1: "aes", 2: "aes256k"}
_LIMIT_S = 20
# The monitor's address is no one's: what counts is whether librados takes the key before it connects.
_TRY = """
import rados, sys
conf = {"key": sys.argv[1], "mon_host": "127.0.0.1:1", "client_mount_timeout": "1", "keyring": "/dev/null"}
try:
    rados.Rados(name="client.x", conf=conf).connect(timeout=1)
except rados.InvalidArgumentError:
    sys.exit(3)
except rados.Error:
    pass
"""


def key_type(key: str) -> int | None:
    """The type in a cephx key's head; None when it is no cephx key."""
    try:
        raw = base64.b64decode(key, validate=True)
        kind, _, _, length = _HEAD.unpack_from(raw)
    except (ValueError, struct.error):
        return None
    return int(kind) if len(raw) == _HEAD.size + length else None


def is_readable(kind: int) -> bool:
    """Can librados here read keys of this type? It is asked with a random key, in a process of its own: what
    it cannot read it prints.
    """
    length = 16 if kind == 1 else 32
    key = base64.b64encode(_HEAD.pack(kind, int(time.time()), 0, length) + os.urandom(length)).decode()
    try:
        run_program([sys.executable, "-c", _TRY, key], _LIMIT_S)
    except ProcessError:
        return False
    return True
