"""Changes of a VM that is powered off: each ends when oned is through with it."""
from __future__ import annotations

import time

from onedr.model.errors import OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd, number

_SETTLES_S = 60
_PAUSE_S = 0.1


def settle(frontend: FrontEnd, vm_id: int) -> None:
    """Wait until oned is through with a change of a VM that is powered off. Raises OneDRError."""
    end = time.monotonic() + _SETTLES_S
    while True:
        vm = frontend.vm(vm_id)
        state, lcm = opennebula_objects.vm_state(vm), number(vm, "LCM_STATE")
        if (state, lcm) == ("POWEROFF", 0):
            return
        if time.monotonic() > end or state != "ACTIVE":
            raise OneDRError(
                f"VM {vm_id} is {state} (LCM {lcm}) after a change of its disks or NICs; onevm show {vm_id}"
            )
        time.sleep(_PAUSE_S)


def image_usable(frontend: FrontEnd, image_id: int) -> None:
    """Wait until another VM has let go of an image. Raises OneDRError."""
    end = time.monotonic() + _SETTLES_S
    while opennebula_objects.image_state(frontend.image(image_id)) != "READY":
        if time.monotonic() > end:
            raise OneDRError(
                f"image {image_id} is in use here or in no good state; oneimage show {image_id} tells"
            )
        time.sleep(_PAUSE_S)
