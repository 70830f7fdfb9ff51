"""This machine as a bridge host: run one piece of work for a front-end at the other end of standard input and
output.

Started by `<SCRIPTS_REMOTE_DIR>/onedr/bridge` (host/bridge.py has the other end). Nothing is kept on this
machine; what is logged goes to the front-end's log.
"""
from __future__ import annotations

import importlib
import io
import os
import re
import signal
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

import rados
import rbd

from onedr.host import bridge, log
from onedr.host.bridge import BridgeSession, Pipe
from onedr.model import errors
from onedr.model.errors import OneDRError, StorageError, UnexpectedError
from onedr.model.json_form import Json

_ENTRY = re.compile(r"(onedr\.driver\.[a-z_]+):([a-z_]+)")


class _Told(io.TextIOBase):
    """A standard stream whose text appears at the front-end."""

    def __init__(self, pipe: Pipe, number: int):
        self._pipe, self._number = pipe, number

    def write(self, text: str) -> int:
        self._pipe.send({"out": self._number, "text": text})
        return len(text)


def main() -> NoReturn:
    """Receive the work, do it, answer how it ended."""
    pipe = Pipe(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # whatever prints past us must not break the frames
    first = pipe.receive()
    if first is None:
        sys.exit("OneDR's end of a bridge: it is started by a front-end, not by hand.")
    asked, stdin = first
    if asked["protocol"] != bridge.PROTOCOL:
        pipe.send({"refused": "its OneDR is of another release; run onehost sync --force"})
        os._exit(1)
    pipe.send({"ready": True})
    signal.signal(signal.SIGTERM, _on_sigterm)
    log.relay_to(lambda record: _log(pipe, record))
    bridge.serve_session(BridgeSession(pipe, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
    sys.stdout, sys.stderr = _Told(pipe, 1), _Told(pipe, 2)
    pipe.send(_end_of(asked["entry"], list(asked["argv"])))
    os._exit(0)  # a call that Ceph never answered may have left a thread behind


def _end_of(entry: str, argv: list[str]) -> Json:
    try:
        return {"done": _do(entry, argv)}
    except OneDRError as error:
        return {"failed": errors.to_wire(error)}
    except (rados.Error, rbd.Error) as error:
        return {"failed": errors.to_wire(StorageError(f"Ceph: {error}"))}
    except Exception as error:  # noqa: BLE001 the process ends here
        for line in traceback.format_exc().splitlines():
            print(f"DEBUG: {line}", file=sys.stderr)
        log.exception("OneDR failed unexpectedly on a bridge host")
        text = f"OneDR failed unexpectedly ({type(error).__name__}: {error}); the traceback is in its log."
        return {"failed": errors.to_wire(UnexpectedError(text))}


def _log(pipe: Pipe, record: log.Record) -> None:
    with suppress(OSError):  # the front-end is gone, and this work ends
        pipe.send({"log": record})


def _do(entry: str, argv: list[str]) -> str:
    match = _ENTRY.fullmatch(entry)
    if not match:
        raise OneDRError(f"A bridge host cannot do {entry!r}.")
    return str(getattr(importlib.import_module(match[1]), match[2])(argv) or "")


def _on_sigterm(*_: object) -> NoReturn:
    raise OneDRError("The front-end that requested this work is gone; partial changes were rolled back.")
