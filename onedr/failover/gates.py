"""Waiting at the gate of a group: its VMs run and, where the recovery plan says so, answer at a port.

The port is tried from where the run works, the front-end or a bridge host, at the VM's first address.
"""
from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping

from onedr.ceph import monitor_ping, parallel
from onedr.failover.waves import GroupGate
from onedr.host.waiting import attempts
from onedr.model import template
from onedr.model.errors import OneDRError
from onedr.model.recovery_plan import Gate
from onedr.model.text import first_few
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, attributes, number

_RUNNING = ("ACTIVE", 3)
_PAUSE_S = 1.0
_PORT_LIMIT_S = 2.0
_LOOK_LIMIT_S = 60.0
_PAGE_LIMIT_S = 5.0
_BAD_STATUS = 400
_AT_ONCE = 32


def pass_gate(
    frontend: FrontEnd, gate: GroupGate, vm_ids: Mapping[str, int], failed: Mapping[str, str],
    label: Callable[[str], str], check: Callable[[], None],
) -> str:
    """Wait until all VMs of the gate pass, and say so. `vm_ids`: here, by origin; `failed`: why one cannot;
    `check`: may the run go on.

    Raises OneDRError that names those that do not pass, at once where one has failed.
    """
    lost = [f"{label(origin)}: {failed[origin]}" for origin in gate.origins if origin in failed]
    if lost:
        raise OneDRError(f"not passed: {first_few(lost, separator='; ')}")
    left = dict.fromkeys(gate.origins, "not looked at")
    for _ in attempts(gate.gate.within_s, _PAUSE_S):
        check()
        left = _obstacles(frontend, gate, {origin: vm_ids.get(origin) for origin in left})
        if not left:
            return f"{len(gate.origins)} VM(s) {_passed(gate)}"
    said = [f"{label(origin)} {why}" for origin, why in left.items()]
    raise OneDRError(
        f"not passed within {gate.gate.within_s} s: {first_few(said, separator='; ')}"
    )


def _passed(gate: GroupGate) -> str:
    if gate.gate.path:
        return f"answer GET {gate.gate.path} at port {gate.gate.port}"
    return f"accept connections at port {gate.gate.port}" if gate.gate.port else "run"


def _obstacles(frontend: FrontEnd, gate: GroupGate, vm_ids: Mapping[str, int | None]) -> dict[str, str]:
    """By origin, why a VM does not pass now. All at once: one that is silent costs the others no time."""
    def look(origin: str) -> str:
        return _obstacle(frontend, vm_ids[origin], gate.gate)

    looked = parallel.each(vm_ids, look, _LOOK_LIMIT_S, _AT_ONCE)
    return {origin: str(why) for origin, why in looked.items() if isinstance(why, OneDRError) or why}


def _obstacle(frontend: FrontEnd, vm_id: int | None, gate: Gate) -> str:
    if vm_id is None:
        return "is not here"
    vm = frontend.vm(vm_id)
    state = opennebula_objects.vm_state(vm), number(vm, "LCM_STATE")
    if state != _RUNNING:
        return f"is {state[0]} (LCM {state[1]}); onevm show {vm_id}"
    if not gate.port:
        return ""
    found = (template.get(nic, "IP") for nic in template.vectors(attributes(vm), "NIC"))
    address = next(filter(None, found), "")
    if not address:
        return "has no IPv4 address"
    if gate.path:
        return _page_obstacle(address, gate)
    if not monitor_ping.port_answers(address, gate.port, _PORT_LIMIT_S):
        return f"accepts no connection at {address}:{gate.port}"
    return ""


def _page_obstacle(address: str, gate: Gate) -> str:
    """Only the status is read, and no redirection is followed: what the guest says leads nowhere else."""
    connection = http.client.HTTPConnection(address, gate.port, timeout=_PAGE_LIMIT_S)
    page = f"http://{address}:{gate.port}{gate.path}"
    try:
        connection.request("GET", gate.path, headers={"User-Agent": "onedr", "Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer at {page} ({type(error).__name__})"
    finally:
        connection.close()
    return f"answers {status} at {page}" if status >= _BAD_STATUS else ""
