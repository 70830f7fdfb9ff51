"""The only way to start other programs: argument lists, a time limit, errors with program and output.

subprocess is imported where it is used: most drivers start no program, and it takes 8 ms to load.
"""
from __future__ import annotations

import shlex
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import IO, NamedTuple

from onedr.host.paths import front_end_paths
from onedr.model.errors import OneDRError

_ERROR_TAIL = 400
_DETACHED_BYTES = 1 << 20


class ProcessError(OneDRError):
    """A program failed, is not installed, or did not end in time."""

    word = "program-failed"
    meaning = "A program that OneDR runs failed, is missing, or did not end in time."
    todo = "Install it, or see its own message."


def run_program(
    argv: Sequence[str],
    limit_s: float,
    env: Mapping[str, str] | None = None,
    feed: str = "",
    memory: int = 0,
) -> str:
    """Run a program with `feed` on its standard input. Returns its standard output.

    `memory`: bytes of address space it may take (RLIMIT_AS), for programs that read what users bring.
    Raises ProcessError.
    """
    import subprocess

    # prlimit(1) of util-linux, not preexec_fn: that is unsafe where threads run
    command = ["prlimit", f"--as={memory}", "--", *argv] if memory else list(argv)
    try:
        done = subprocess.run(
            command, input=feed, capture_output=True, timeout=limit_s, check=False, env=env, text=True
        )
    except FileNotFoundError as error:
        raise ProcessError(f"{command[0]} is not installed on this machine.") from error
    except subprocess.TimeoutExpired as error:
        raise ProcessError(f"{argv[0]} did not end within {limit_s:g} s.") from error
    if done.returncode:
        raise ProcessError(f"{argv[0]} failed ({done.returncode}): {done.stderr.strip()[-_ERROR_TAIL:]}")
    return done.stdout


def detach(argv: Sequence[str], stdin: bytes) -> int:
    """Start a program that outlives this process. Returns its pid.

    What it says is in OneDR's log. Its standard error goes to `detached.log` for what cannot be logged, such
    as an interpreter that does not start.
    """
    import subprocess

    errors = front_end_paths().state / "detached.log"
    errors.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if errors.stat().st_size > _DETACHED_BYTES:
            errors.replace(errors.with_suffix(".log.1"))
    with errors.open("ab") as output:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
            cwd="/",
            close_fds=True,
        )
    assert child.stdin is not None
    with child.stdin as pipe:
        pipe.write(stdin)
    return child.pid


class Conversation(NamedTuple):
    """A running program: its output and input. `complaints` is the end of its standard error so far."""

    reader: IO[bytes]
    writer: IO[bytes]
    errors: IO[bytes]

    def complaints(self) -> str:
        self.errors.seek(0)
        return " ".join(self.errors.read().decode(errors="replace").split())[-_ERROR_TAIL:]


@contextmanager
def conversation(argv: Sequence[str], end_limit_s: float) -> Iterator[Conversation]:
    """Start a program and exchange data with it.

    Afterwards its input is closed, and it has `end_limit_s` to end.
    """
    import subprocess
    import tempfile

    with tempfile.TemporaryFile() as errors:
        try:
            child = subprocess.Popen(list(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        except FileNotFoundError as error:
            raise ProcessError(f"{argv[0]} is not installed on this machine.") from error
        assert child.stdin is not None and child.stdout is not None
        try:
            yield Conversation(child.stdout, child.stdin, errors)
        finally:
            with suppress(BrokenPipeError):
                child.stdin.close()
            try:
                child.wait(end_limit_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            child.stdout.close()


@contextmanager
def stream(argv: Sequence[str], limit_s: float, into: bool = False) -> Iterator[IO[bytes]]:
    """A program's standard output, or with `into` its standard input, as bytes.

    Raises ProcessError when the program fails or does not end within `limit_s`. An error of the caller ends
    the program.
    """
    import subprocess
    import tempfile
    import threading

    with tempfile.TemporaryFile() as errors:
        stdin, stdout = (
            (subprocess.PIPE, subprocess.DEVNULL) if into else (subprocess.DEVNULL, subprocess.PIPE)
        )
        try:
            child = subprocess.Popen(list(argv), stdin=stdin, stdout=stdout, stderr=errors)
        except FileNotFoundError as error:
            raise ProcessError(f"{argv[0]} is not installed on this machine.") from error
        clock = threading.Timer(limit_s, child.kill)
        clock.start()
        pipe = child.stdin if into else child.stdout
        assert pipe is not None
        try:
            with suppress(BrokenPipeError):  # the program's own message says more
                yield pipe
                pipe.close()
            child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            clock.cancel()
            with suppress(BrokenPipeError):
                pipe.close()
        if child.returncode:
            errors.seek(0)
            output = errors.read().decode(errors="replace").strip()[-_ERROR_TAIL:]
            raise ProcessError(f"{argv[0]} failed ({child.returncode}): {output}")


def on_host(host: str, argv: Sequence[str], limit_s: float) -> str:
    """Run a program on a host as the front-end's user:
    directly on this machine, else through ssh with every word quoted.
    """
    return run_program(host_command(host, argv), limit_s)


def host_command(host: str, argv: Sequence[str]) -> list[str]:
    """The command that runs a program on a host:
    unchanged on this machine, else through ssh with every word quoted.
    """
    if is_here(host):
        return list(argv)
    return ["ssh", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15", "--", host, shlex.join(argv)]


@lru_cache
def is_here(host: str) -> bool:
    """Does `host`, a name or an address, refer to this machine?"""
    if host in ("localhost", "127.0.0.1", "::1", socket.gethostname()):
        return True
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)}
    except (OSError, UnicodeError):
        return False  # an unknown name is not this machine
    return any(_is_ours(address) for address in addresses)


def _is_ours(address: str) -> bool:
    """To an address of this machine the kernel connects from the same address. Nothing is sent."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return False
        return bool(probe.getsockname()[0] == address)
