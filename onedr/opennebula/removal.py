"""Removing VMs and images that a run made, each awaited."""
from __future__ import annotations

import time
from collections.abc import Callable

from lxml import etree

from onedr.host.waiting import attempts
from onedr.model import template
from onedr.model.errors import FrontEndError, OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import NO_SUCH_OBJECT, NOT_POSSIBLE, FrontEnd, attributes

_PATIENCE_S = 60  # for a VM that cannot be terminated; after that it is deleted with onevm recover --delete
_PAUSE_S = 0.5
_RECOVER_DELETE = 3


def terminate(frontend: FrontEnd, vm_id: int, limit_s: float) -> str:
    """Terminate a VM and wait until it is DONE.

    Raises OneDRError with its state when it is not.
    """
    begun, requested = time.monotonic(), ""
    state = lcm = ""
    for _ in attempts(limit_s, _PAUSE_S):
        vm = _or_none(frontend.vm, vm_id)
        if vm is None or opennebula_objects.vm_state(vm) == "DONE":
            return "is DONE"
        state, lcm = opennebula_objects.vm_state(vm), vm.findtext("LCM_STATE") or ""
        wanted = "terminate" if time.monotonic() - begun < _PATIENCE_S else "delete"
        if requested != wanted and _request(frontend, wanted, vm_id):
            requested = wanted
    raise OneDRError(f"VM {vm_id} is still {state} (LCM {lcm}) after {limit_s:g} s; onevm show {vm_id}")


def _request(frontend: FrontEnd, wanted: str, vm_id: int) -> bool:
    """False when oned cannot do it in the VM's current state: the caller tries again."""
    try:
        if wanted == "terminate":
            frontend.call("vm.action", "terminate-hard", vm_id)
        else:
            frontend.call("vm.recover", vm_id, _RECOVER_DELETE)
    except FrontEndError as error:
        if error.code not in (NOT_POSSIBLE, NO_SUCH_OBJECT):
            raise
        return False
    return True


def delete_image(frontend: FrontEnd, image_id: int, limit_s: float) -> str:
    """Delete an image whose RBD image is removed, and wait until oned has deleted it. Raises OneDRError."""
    state, requested = "", False
    for _ in attempts(limit_s, _PAUSE_S):
        image = _or_none(frontend.image, image_id)
        if image is None:
            return "deleted"
        state = opennebula_objects.image_state(image)
        if state == "ERROR" and requested:
            raise OneDRError(
                f"image {image_id} could not be deleted: "
                f"{template.get(attributes(image), 'DR_MESSAGE') or state}"
            )
        if state != "DELETE" and not requested:
            try:
                frontend.call("image.delete", image_id, False)
                requested = True
            except FrontEndError as error:
                if error.code not in (NOT_POSSIBLE, NO_SUCH_OBJECT):
                    raise
    raise OneDRError(f"image {image_id} is still {state} after {limit_s:g} s; oneimage show {image_id}")


def _or_none(ask: Callable[[int], etree._Element], object_id: int) -> etree._Element | None:
    try:
        return ask(object_id)
    except FrontEndError as error:
        if error.code == NO_SUCH_OBJECT:
            return None
        raise
