"""Driver executables: argv, standard input, environment, and the meaning of exit code and output."""
from __future__ import annotations

import base64
import logging
import os
import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_MARKED = re.compile(r"^(ERROR|INFO|WARN|DEBUG): ")
KILLED = 255


@dataclass(frozen=True)
class Outcome:
    """How an executable ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    @property
    def message(self) -> str:
        """What oned shows of stderr: unmarked lines, joined without a separator."""
        return "".join(line for line in self.stderr.splitlines() if not _MARKED.match(line))


class Executor:
    """Runs the executables of one driver family, a limited number at a time."""

    def __init__(self, label: str, threads: int, var: Path, environment: Mapping[str, str],
                 nice: int = 0, timeout: float | None = None) -> None:
        self.log = logging.getLogger(label)
        self.var = var
        self.environment = {**os.environ, **environment}
        self.nice = nice
        self.timeout = timeout
        self._slots = threading.Semaphore(threads)

    def run(self, script: Path, arguments: Sequence[str], stdin: str = "") -> Outcome:
        """Run a script to its end; waits for a free slot first."""
        argv = [str(script), *arguments]
        with self._slots:
            outcome = self._spawn(argv, stdin)
        if not outcome.ok:
            self.log.info("Command execution failed (exit code: %s): %s", outcome.code, " ".join(argv))
        for line in outcome.stderr.splitlines():
            self.log.info("%s", line)
        return outcome

    def _spawn(self, argv: list[str], stdin: str) -> Outcome:
        if not os.access(argv[0], os.X_OK):
            return Outcome(127, "", f"sh: 1: {argv[0]}: not found")
        command = ["nice", "-n", str(self.nice), *argv] if self.nice else argv
        # Its own session: a driver outlives a killed oned.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            errors="replace", cwd=self.var, env=self.environment, start_new_session=True)
        try:
            out, error = process.communicate(stdin, self.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, error = process.communicate()
            return Outcome(KILLED, out, f"Timeout executing {argv[0]}")
        return Outcome(process.returncode if process.returncode >= 0 else KILLED, out, error)


def encode(xml: str) -> str:
    """Driver data as it goes to standard input."""
    return base64.b64encode(xml.encode()).decode()
