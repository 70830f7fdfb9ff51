"""Checks of a drill's VM: it runs, its guest boots, and optionally a port and a command."""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from onedr.ceph import monitor_ping, space
from onedr.ceph.connection import Pool
from onedr.drill.evidence import CheckDone
from onedr.host import process
from onedr.host.waiting import attempts
from onedr.model.errors import OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, number

_BOOT_LIMIT_S = 180
_PORT_LIMIT_S = 60
_COMMAND_LIMIT_S = 60
_PAUSE_S = 0.3
_RUNNING = ("ACTIVE", 3)
_TAIL = 400  # characters of a command's output


@dataclass(frozen=True)
class Checks:
    """Additional checks of each VM.

    `port` 0: none; `command`: program and arguments, without a shell.
    """

    port: int = 0
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class DrillGuest:
    """A drill's VM: its id and address here, the production VM's name, and its writable clones."""

    vm_id: int
    name: str
    address: str
    clones: Sequence[str]


def run_checks(
    pool: Pool, frontend: FrontEnd, guest: DrillGuest, checks: Checks, note: Callable[[CheckDone], None]
) -> str:
    """Run all checks. Each result goes to `note`, with seconds and evidence.

    Raises OneDRError that names the failed ones.
    """
    todo: list[tuple[str, Callable[[], str]]] = [("guest boots", lambda: _boots(pool, guest))]
    if checks.port:
        todo.append((f"port {checks.port}", lambda: _port(guest, checks.port)))
    if checks.command:
        todo.append((f"command {checks.command[0]}", lambda: _command(guest, checks.command)))
    todo.append(("runs", lambda: _runs(frontend, guest.vm_id)))
    failed = []
    for name, action in todo:
        begun = time.monotonic()
        try:
            result, evidence = "passed", action()
        except OneDRError as error:
            result, evidence = "failed", str(error)
            failed.append(f"{name}: {error}")
        seconds = round(time.monotonic() - begun, 3)
        note(CheckDone(name, result, evidence, seconds, time.time()))
    if failed:
        raise OneDRError("; ".join(failed))
    return ", ".join(name for name, _ in todo)


def _boots(pool: Pool, guest: DrillGuest) -> str:
    """A guest that boots writes to its disk, which firmware and boot loaders do not do.

    No agent in the guest is needed.
    """
    if not guest.clones:
        raise OneDRError("it has no writable disk, so booting cannot be detected")
    for _ in attempts(_BOOT_LIMIT_S, _PAUSE_S):
        for name in guest.clones:
            written = space.own_bytes(pool, name)
            if written:
                return (
                    f"the guest wrote to its disk: {written} bytes in objects of its own since {name} was "
                    "cloned"
                )
    raise OneDRError(f"the guest wrote nothing to {', '.join(guest.clones)} within {_BOOT_LIMIT_S} s")


def _port(guest: DrillGuest, port: int) -> str:
    if not guest.address:
        raise OneDRError("the VM has no IPv4 address in the drill network")
    if not monitor_ping.port_answers(guest.address, port, _PORT_LIMIT_S):
        raise OneDRError(f"{guest.address}:{port} accepted no connection within {_PORT_LIMIT_S} s")
    return f"{guest.address}:{port} accepts connections"


def _command(guest: DrillGuest, command: Sequence[str]) -> str:
    own = {"ONEDR_VM_NAME": guest.name, "ONEDR_VM_ID": str(guest.vm_id), "ONEDR_VM_IP": guest.address}
    output = process.run_program(command, _COMMAND_LIMIT_S, {**os.environ, **own})
    return f"exit code 0: {' '.join(output.split())[-_TAIL:] or 'no output'}"


def _runs(frontend: FrontEnd, vm_id: int) -> str:
    vm = frontend.vm(vm_id)
    state = opennebula_objects.vm_state(vm), number(vm, "LCM_STATE")
    if state != _RUNNING:
        raise OneDRError(f"VM {vm_id} is {state[0]} (LCM {state[1]}) after the checks; onevm show {vm_id}")
    return f"VM {vm_id} is RUNNING on {vm.findtext('HISTORY_RECORDS/HISTORY[last()]/HOSTNAME')}"
