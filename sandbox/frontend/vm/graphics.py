"""GRAPHICS of a VM; the port belongs to the VM from its deployment until it is undeployed."""
from __future__ import annotations

import secrets

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import action, internal
from sandbox.frontend.objects.states import ACTIONS
from sandbox.frontend.objects.templates import Vector, leading_int
from sandbox.frontend.objects.vms import VM

LAST_PORT = 65535
_PASSWORD_LENGTHS = {"vnc": 8, "spice": 59}


def check(vm: VM) -> None:
    """Keep the first GRAPHICS section only; check its port, and make the random password it asks for."""
    graphics = vm.template.vector("GRAPHICS")
    if graphics is None:
        return
    vm.template.put("GRAPHICS", graphics)
    port = leading_int(graphics.get("PORT", ""))
    if graphics.get("PORT") and (port is None or not 0 <= port <= LAST_PORT):
        raise internal("Wrong PORT number in GRAPHICS attribute")
    if graphics.get("RANDOM_PASSWD", "").upper() == "YES" and not graphics.get("PASSWD"):
        graphics["PASSWD"] = secrets.token_hex(32)
    longest = _PASSWORD_LENGTHS.get(graphics.get("TYPE", "").lower())
    if longest is not None and graphics.get("PASSWD"):
        graphics["PASSWD"] = graphics["PASSWD"][:longest]


def take_port(frontend: Frontend, vm: VM) -> None:
    """Reserve the port that GRAPHICS names, or start + VM id, or else the first free one."""
    graphics = vm.template.vector("GRAPHICS")
    if graphics is None or vm.history and vm.place.action == ACTIONS["stop"]:
        return
    used = {other.template.vectors("GRAPHICS")[0].get("PORT") for other in frontend.store.all(VM)
            if other.oid != vm.oid and other.history and other.template.vectors("GRAPHICS")}
    wanted = leading_int(graphics.get("PORT", ""))
    if wanted is not None:
        if str(wanted) in used:
            raise action("Requested VNC port already assigned to a VM")
        return
    graphics["PORT"] = _free_port(frontend.config.template.vector("VNC_PORTS") or {}, vm.oid, used)


def _free_port(conf: Vector, oid: int, used: set[str | None]) -> str:
    start = leading_int(conf.get("START", "")) or 5900
    reserved = _reserved(conf.get("RESERVED", ""))
    for port in (start + oid % (LAST_PORT - start), *range(start, LAST_PORT + 1)):
        if str(port) not in used and not any(port in span for span in reserved):
            return str(port)
    raise action("No free VNC ports available in the cluster")


def _reserved(text: str) -> list[range]:
    spans = []
    for part in text.split(","):
        numbers = [number for one in part.split(":") if (number := leading_int(one)) is not None]
        if numbers:
            spans.append(range(numbers[0], numbers[-1] + 1))
    return spans


def give_port(vm: VM) -> None:
    """Give the port back; the next deployment takes another one."""
    graphics = vm.template.vector("GRAPHICS")
    if graphics is not None and vm.history:
        graphics.pop("PORT", None)
