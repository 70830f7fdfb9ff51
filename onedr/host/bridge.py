"""Work on a bridge host (BRIDGE_LIST): the same code runs there and uses this front-end's API and files
through one pipe.

The front-end starts `<SCRIPTS_REMOTE_DIR>/onedr/bridge` (copied by `onehost sync`) through ssh and writes the
work to its standard input. Frames go both ways: two lengths, a line of JSON, bytes. No part of the work is
ever a shell word.
"""
from __future__ import annotations

import json
import re
import shlex
import struct
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import IO, Any, NamedTuple

from onedr.host import log, process, threads
from onedr.host.paths import front_end_paths
from onedr.model import errors
from onedr.model.errors import InputError, OneDRError, StorageError
from onedr.model.json_form import Json

PROTOCOL = 4
# the interpreter that the host distribution's python3-rados and python3-rbd are built for
_PYTHON = "/usr/bin/python3"
_LENGTHS = struct.Struct("!II")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,252}")
_REMOTE_DIR = re.compile(r'^\s*SCRIPTS_REMOTE_DIR\s*=\s*"?([^"#\n]+?)"?\s*$', re.M)
_SSH = (
    "ssh",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=15",
    "-o",
    "ServerAliveCountMax=4",
)
_END_LIMIT_S = 10
_TAIL = 300
_LONGEST = 64 << 20  # bytes of a frame's half; the largest are pools of a large front-end
Answer = tuple[Any, bytes]
"""What a service answers: a JSON value, and bytes beside it."""
Service = Callable[[Json], Answer]


class NoBridgeError(StorageError):
    """No host of BRIDGE_LIST could start the work; nothing was done."""

    word = "bridge-unreachable"
    meaning = "No host of BRIDGE_LIST could begin the work. Nothing was done."
    todo = "Check ssh to the hosts the message names, then `onehost sync --force`."


class BridgeRefusedError(OneDRError):
    """A bridge host asked for something that its work item does not need."""

    exit_code = 2
    word = "bridge-refused"
    meaning = "A bridge host asked its front-end for what its work does not need. The work was ended."
    todo = "Run `onehost sync --force`; if it happens again, find out who changed OneDR on that host."


class Work(NamedTuple):
    """What to run: `module:function` of ours, its arguments, its standard input."""

    entry: str
    argv: tuple[str, ...]
    stdin: bytes = b""


class Pipe:
    """One end of the connection; sending is safe from any thread."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]):
        self._reader, self._writer, self._lock = reader, writer, threading.Lock()

    def send(self, head: Json, body: bytes = b"") -> None:
        """Raises OSError when the other end is gone."""
        text = json.dumps(head).encode()
        with self._lock:
            self._writer.write(_LENGTHS.pack(len(text), len(body)) + text + body)
            self._writer.flush()

    def receive(self) -> tuple[Json, bytes] | None:
        """The next frame; None when the other end is gone. Raises StorageError for one that is too long."""
        lengths = self._reader.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return None
        text_length, body_length = _LENGTHS.unpack(lengths)
        if max(text_length, body_length) > _LONGEST:
            raise StorageError("A frame between front-end and bridge host is longer than any of OneDR's.")
        text, body = self._reader.read(text_length), self._reader.read(body_length)
        if len(text) < text_length or len(body) < body_length:
            return None
        return json.loads(text), body


def hosts(bridge_list: str, turn: int) -> list[str]:
    """The bridge hosts to try, in order. Empty when the list is empty or names this machine: then the work is
    done here.

    Round robin by `turn` as in the stock driver (get_destination_host: id modulo the number of hosts). Raises
    InputError for an invalid host name.
    """
    names = bridge_list.split()
    for name in names:
        if not _HOST.fullmatch(name):
            raise InputError(
                f"BRIDGE_LIST names {name!r}, which is not a host name; correct it with onedatastore update."
            )
    if not names or any(process.is_here(name) for name in names):
        return []
    first = turn % len(names)
    return names[first:] + names[:first]


def run_on_bridge(candidates: Sequence[str], work: Work, services: Mapping[str, Service]) -> str:
    """Run the work on the first of `candidates` that can start it. Returns its result.

    What the work prints is printed here. `services` is all it may ask for. Raises NoBridgeError when no host
    could start it, BridgeRefusedError when it asked for anything else, else what the work raised. Work that
    was started is never started again on another host.
    """
    dead = []
    for host in candidates:
        try:
            return _on(host, work, services)
        except NoBridgeError as error:
            dead.append(f"{host}: {error}")
    raise NoBridgeError(f"No host of BRIDGE_LIST can do the work of this datastore ({'; '.join(dead)}).")


def _on(host: str, work: Work, services: Mapping[str, Service]) -> str:
    command = [*_SSH, "--", host, shlex.join([_PYTHON, f"{_remote_folder()}/onedr/bridge"])]
    with process.conversation(command, _END_LIMIT_S) as child:
        pipe = Pipe(child.reader, child.writer)
        if not _begun(pipe, work):
            raise NoBridgeError(_why(child.complaints()))
        return _serve(host, pipe, services)


def _remote_folder() -> str:
    """Where `onehost sync` puts the remotes: SCRIPTS_REMOTE_DIR of oned.conf."""
    try:
        found = _REMOTE_DIR.search((front_end_paths().etc / "oned.conf").read_text())
    except FileNotFoundError:
        found = None
    return found[1] if found else "/var/tmp/one"


def _begun(pipe: Pipe, work: Work) -> bool:
    try:
        pipe.send({"protocol": PROTOCOL, "entry": work.entry, "argv": work.argv}, work.stdin)
    except OSError:
        return False
    first = pipe.receive()
    if first is not None and "refused" in first[0]:
        raise NoBridgeError(first[0]["refused"])
    return first is not None


def _why(text: str) -> str:
    last = " ".join(text.split())[-_TAIL:] or "ssh ended without a message"
    if "can't open file" in last:
        return f"OneDR is not installed there ({last}); run onehost sync --force"
    return last


def _serve(host: str, pipe: Pipe, services: Mapping[str, Service]) -> str:
    try:
        while True:
            frame = pipe.receive()
            if frame is None:
                raise StorageError(
                    f"The connection to bridge host {host} broke during the work; check the result, then "
                    "repeat it."
                )
            done = _handled(host, pipe, frame[0], services)
            if done is not None:
                return done
    except (KeyError, TypeError, ValueError) as error:
        raise BridgeRefusedError(
            f"Bridge host {host} sent what no OneDR sends ({type(error).__name__}: {error}); the work was "
            "ended."
        ) from error


def _handled(host: str, pipe: Pipe, head: Json, services: Mapping[str, Service]) -> str | None:
    """Do what a frame asks for. Returns the result when the work is done; raises what it raised."""
    if "out" in head:
        stream = sys.stdout if head["out"] == 1 else sys.stderr
        print(head["text"], end="", file=stream, flush=True)
    elif "log" in head:
        log.replay(head["log"])
    elif "call" in head:
        _answer(host, pipe, head, services)
    elif "failed" in head:
        raise errors.from_wire(head["failed"])
    else:
        return str(head["done"])
    return None


def _answer(host: str, pipe: Pipe, head: Json, services: Mapping[str, Service]) -> None:
    """Do what the bridge asks for. What it may not ask for ends the work: its end of the pipe is closed."""
    name, arguments = head["call"], head.get("with")
    try:
        if name not in services or not isinstance(arguments, dict):
            raise BridgeRefusedError(f"service {name!r}")
        value, body = services[name](arguments)
    except BridgeRefusedError as error:
        raise BridgeRefusedError(
            f"Bridge host {host} asked for what its work does not need: {error}; the work was ended, and "
            "what it had not finished is rolled back there."
        ) from error
    except OneDRError as error:
        pipe.send({"id": head["id"], "failed": errors.to_wire(error)})
    else:
        pipe.send({"id": head["id"], "value": value}, body)


class BridgeSession:
    """This process on a bridge host.

    Its calls, from any thread, go back through the pipe to the front-end.
    """

    def __init__(self, pipe: Pipe, on_end: Callable[[], None]):
        self.pipe = pipe
        self._waiting: dict[int, Any] = {}  # a queue for each caller
        self._lock = threading.Lock()
        self._next = 0
        self._on_end = on_end
        threads.start(self._read)

    def call(self, name: str, **arguments: Any) -> Answer:
        """Call the front-end. Raises what the call raised there, StorageError when the connection is gone."""
        import queue  # needed on bridge hosts only

        answer: queue.SimpleQueue[tuple[Json, bytes] | None] = queue.SimpleQueue()
        with self._lock:
            self._next += 1
            number = self._next
            self._waiting[number] = answer
        self.pipe.send({"call": name, "id": number, "with": arguments})
        frame = answer.get()
        if frame is None:
            raise StorageError("The front-end that requested this work is gone.")
        head, body = frame
        if "failed" in head:
            raise errors.from_wire(head["failed"])
        return head["value"], body

    def _read(self) -> None:
        while (frame := self.pipe.receive()) is not None:
            with self._lock:
                waiting = self._waiting.pop(frame[0]["id"])
            waiting.put(frame)
        with self._lock:
            for waiting in self._waiting.values():
                waiting.put(None)
        self._on_end()


# Set once, when a process begins to work for a front-end; onedr.host.threads hands it on to threads.
_session: ContextVar[BridgeSession | None] = ContextVar("onedr_bridge_session", default=None)


def serve_session(session: BridgeSession) -> None:
    """From now on this process works for a front-end on another machine."""
    _session.set(session)


def bridge_session() -> BridgeSession | None:
    """The session with the front-end on a bridge host, None on a front-end."""
    return _session.get()
