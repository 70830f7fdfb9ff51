"""VMs that wait for their images to be copied."""
from __future__ import annotations

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import images
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.life import settle


def check(frontend: Frontend, vm: VM) -> None:
    """End the state CLONING of a VM when none of its images is locked any more."""
    for disk in vm.disks:
        if disk.get("CLONING") != "YES":
            continue
        image = frontend.store.find(Image, int(disk["IMAGE_ID"]))
        if image is not None and image.state in images.ALL_LOCKED:
            return
        if image is None or image.state == images.ERROR:
            settle(frontend, vm, "CLONING_FAILURE")
            return
        disk.pop("CLONING")
        disk |= {"SOURCE": image.source, "FORMAT": image.format, "DRIVER": image.format,
                 "IMAGE_STATE": str(image.state)}
    settle(frontend, vm, "HOLD" if vm.template.text("SUBMIT_ON_HOLD") == "YES" else "PENDING")
