"""The one gate to other programs: argument lists only, a time limit, errors with program and output (P48)."""
from __future__ import annotations

import os
import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from onedr.errors import OneDRError

_ERROR_TAIL = 400


class ProcessError(OneDRError):
    """A program failed, is missing, or did not end in time."""


def run(argv: Sequence[str], limit_s: float, env: Mapping[str, str] | None = None) -> str:
    """Run a program to its end and return its standard output. Raises ProcessError."""
    try:
        done = subprocess.run(
            list(argv), stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False, env=env, text=True
        )
    except FileNotFoundError as error:
        raise ProcessError(f"{argv[0]} is not installed on this machine.") from error
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"{argv[0]} did not end within {limit_s:g} s.") from error
    if done.returncode:
        raise ProcessError(f"{argv[0]} failed ({done.returncode}): {done.stderr.strip()[-_ERROR_TAIL:]}")
    return done.stdout


def detach(argv: Sequence[str], stdin: bytes, log: Path) -> int:
    """Start a program that outlives this process, its output appended to `log`. Returns its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        child = subprocess.Popen(
            list(argv), stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True, cwd="/", close_fds=True
        )
    assert child.stdin is not None
    with child.stdin as pipe:
        pipe.write(stdin)
    return child.pid


def on_host(host: str, argv: Sequence[str], limit_s: float) -> str:
    """Run a program on a host as the front-end's user: here directly, elsewhere through ssh, every word quoted."""
    if is_here(host):
        return run(argv, limit_s)
    return run(["ssh", "-o", "BatchMode=yes", "--", host, shlex.join(argv)], limit_s)


def is_here(host: str) -> bool:
    """Does `host` name this machine?"""
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn(), os.uname().nodename}
    return host in names
