"""The stand-in oned of a tree: started, stopped and asked, as an administrator does with the real one."""
from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from onedr.model.errors import FrontEndError
from onedr.opennebula.api import FrontEnd
from sandbox.waiting import until

ROOT = Path(__file__).parents[2]


class Oned:
    """oned of the tree at `location`, begun behind the words of `enter`.

    `seen` is where the tree's var is from here.
    """

    def __init__(self, location: Path, seen: Path, enter: Sequence[str] = ()):
        self._argv = [
            *enter,
            sys.executable,
            "-m",
            "sandbox.frontend",
            "--location",
            str(location),
            "--listen",
        ]
        self._seen = seen
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.endpoint = f"http://127.0.0.1:{self._port}/RPC2"

    def start(self) -> FrontEnd:
        """Start it, or start it anew."""
        self.stop()
        argv = [*self._argv, f"127.0.0.1:{self._port}"]
        self._process = subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": str(ROOT)})
        frontend = FrontEnd(self.endpoint, (self._seen / ".one/one_auth").read_text().strip(), 10)
        until("oned", lambda: _answers(frontend), 30)
        return frontend

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None


def _answers(frontend: FrontEnd) -> bool:
    try:
        return bool(frontend.release())
    except FrontEndError:
        return False
