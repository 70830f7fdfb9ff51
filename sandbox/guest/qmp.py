"""QEMU's machine protocol: JSON lines over a unix socket."""
from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from sandbox.waiting import SandboxError, until


class Qmp:
    """A session with one QEMU; use as context manager. Raises SandboxError for anything that goes wrong.

    QEMU serves one session at a time, another waits for up to `limit_s`.
    """

    def __init__(self, path: Path, limit_s: float = 20) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(limit_s)
        self._lines = self._socket.makefile("r")

    def __enter__(self) -> Qmp:
        try:
            self._socket.connect(str(self._path))
            self._read()
        except OSError as e:
            self._socket.close()
            raise SandboxError(f"no answer at {self._path}: {e}") from e
        self.call("qmp_capabilities")
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()

    def call(self, command: str, **arguments: Any) -> Any:
        """Carry out a command (`_` in argument names stands for `-`) and return its answer."""
        wanted = {name.replace("_", "-"): value for name, value in arguments.items()}
        message = json.dumps({"execute": command, "arguments": wanted})
        try:
            self._socket.sendall(message.encode() + b"\n")
            while True:
                answer = self._read()
                if "error" in answer:
                    raise SandboxError(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        except OSError as e:
            raise SandboxError(f"{command}: {e}") from e

    def save(self, target: Path, limit_s: float) -> None:
        """Write the stopped machine, its memory and devices, to a file."""
        self.call("migrate", uri=f"exec:cat > '{target}'")

        def ended() -> bool:
            status = self.call("query-migrate").get("status")
            if status in ("failed", "cancelled"):
                raise SandboxError(f"the machine could not be saved to {target}")
            return bool(status == "completed")

        until(f"a machine to be saved to {target}", ended, limit_s)

    def _read(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError("QEMU closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer
