"""Changes of a VM that is powered off: each ends when oned is through with it."""
from __future__ import annotations

from onedr.host.waiting import attempts, wait_until
from onedr.model.errors import OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, number

_SETTLES_S = 60
_PAUSE_S = 0.1


def settle(frontend: FrontEnd, vm_id: int) -> None:
    """Wait until oned is through with a change of a VM that is powered off. Raises OneDRError."""
    for last in attempts(_SETTLES_S, _PAUSE_S):
        vm = frontend.vm(vm_id)
        state, lcm = opennebula_objects.vm_state(vm), number(vm, "LCM_STATE")
        if (state, lcm) == ("POWEROFF", 0):
            return
        if last or state != "ACTIVE":
            raise OneDRError(
                f"VM {vm_id} is {state} (LCM {lcm}) after a change of its disks or NICs; onevm show {vm_id}"
            )


def image_usable(frontend: FrontEnd, image_id: int, shared: bool = False) -> None:
    """Wait until another VM has let go of an image, unless several may have it (`shared`). Raises OneDRError.
    """
    usable = ("READY", "USED", "USED_PERS") if shared else ("READY",)

    def is_ready() -> bool:
        return opennebula_objects.image_state(frontend.image(image_id)) in usable

    if not wait_until(is_ready, _SETTLES_S, _PAUSE_S):
        raise OneDRError(
            f"image {image_id} is in use here, or not in a usable state; see oneimage show {image_id}"
        )
