"""oned's list of a disk's snapshots is made to say what its RBD image has: at the site that takes over, and
at home again. No data is touched.

What cannot be listed stays on the image and is a warning: a list never fails a VM.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import rados
import rbd

from onedr.ceph import disk_snapshots, snapshot_marks
from onedr.failover import snapshot_list_plan as plan
from onedr.failover.owners_time import OwnersTime
from onedr.failover.powered_off import image_usable, settle
from onedr.failover.snapshot_carrier import Carriers
from onedr.failover.target_site import Site
from onedr.host import log
from onedr.model import template
from onedr.model.errors import FrontEndError, OneDRError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import attributes

_CALLS = {"create": "disksnapshotcreate", "delete": "disksnapshotdelete", "revert": "disksnapshotrevert"}


class SnapshotLists:
    """The lists that one run writes at this site. `alone`: it has the lease of the datastore. `most_s`:
    seconds that it spends on each user's disks, of all threads together; None for no limit.
    """

    def __init__(self, site: Site, alone: bool = False, most_s: float | None = None):
        self._site, self._alone, self._time = site, alone, OwnersTime(most_s)
        self._carriers = Carriers(site.frontend, site.datastore_id)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self._site.pool.names())

    @cached_property
    def _bare(self) -> frozenset[str]:
        """Images that have nothing to list, read at once; the others are opened."""
        try:
            return disk_snapshots.without_numbered(self._site.pool, self._names)
        except rados.Error as error:
            log.warning(f"the snapshots of each image are read on their own: {error}")
            return frozenset()

    def list_image(self, image_id: int, name: str, recorded: plan.SnapshotList) -> None:
        """Of an image that no VM uses. Raises OneDRError when it is in use afterwards."""
        frontend = self._site.frontend
        image = frontend.image(image_id)
        trees = image.findall("SNAPSHOTS")
        listed = plan.read_list(template.from_element(trees[0])) if trees else plan.SnapshotList()
        aim = plan.wanted(recorded, ()) if name in self._bare else self._aim(name, name, recorded)
        wanted = plan.plan_list(listed, aim) if aim is not None else plan.ListPlan(())
        self._say(name, name, wanted)
        if aim is None or not wanted.actions:
            return
        try:
            with self._time.turn(image) as check:
                self._write_plugged(image_id, name, wanted, aim, check)
        except OneDRError as error:
            self._not_listed(name, name, aim, error)
        image_usable(frontend, image_id)

    def _write_plugged(
        self, image_id: int, name: str, wanted: plan.ListPlan, aim: plan.SnapshotList,
        check: Callable[[], None],
    ) -> None:
        """While the image is a disk of a carrier. Raises OneDRError."""
        frontend, carrier = self._site.frontend, self._carriers.take()
        try:
            image_usable(frontend, image_id)  # a killed run's carrier may just let go of it
            frontend.call("vm.attach", carrier, template.to_xml((("DISK", (("IMAGE_ID", str(image_id)),)),)))
            settle(frontend, carrier)
            self._write(carrier, self._plugged(carrier, image_id), name, wanted, aim, name, check)
            frontend.call("vm.detach", carrier, self._plugged(carrier, image_id))
            settle(frontend, carrier)
        except OneDRError:
            self._carriers.drop(carrier)
            raise
        self._carriers.give_back(carrier)

    def _plugged(self, vm_id: int, image_id: int) -> int:
        for disk in template.vectors(attributes(self._site.frontend.vm(vm_id)), "DISK"):
            if template.get(disk, "IMAGE_ID") == str(image_id):
                return int(template.get(disk, "DISK_ID"))
        raise OneDRError(f"image {image_id} was not plugged into VM {vm_id}")

    def list_disk(
        self, vm_id: int, disk_id: int, name: str, recorded: plan.SnapshotList, target: str
    ) -> bool:
        """Of a disk of a VM that is at rest. Returns whether the list was changed."""
        aim = self._aim(name, target, recorded)
        if aim is None:
            return False
        wanted = plan.plan_list(self._of_disk(vm_id, disk_id), aim)
        self._say(name, target, wanted)
        if not wanted.actions:
            return False
        vm = self._site.frontend.vm(vm_id)
        state = opennebula_objects.vm_state(vm)
        if state != "POWEROFF":
            self._not_listed(name, target, aim, OneDRError(f"VM {vm_id} is {state}, not powered off"))
            return False
        try:
            with self._time.turn(vm) as check:
                self._write(vm_id, disk_id, name, wanted, aim, target, check)
        except OneDRError as error:
            self._not_listed(name, target, aim, error)
        return True

    def close(self) -> None:
        """Remove the VMs that were needed."""
        try:
            self._carriers.close()
        except FrontEndError as error:
            log.warning(f"A VM onedr-snapshots is left over: {error}")

    def _aim(self, name: str, target: str, recorded: plan.SnapshotList) -> plan.SnapshotList | None:
        try:
            existing = disk_snapshots.numbered(self._site.pool, name, self._names)
        except rbd.Error as error:
            self._site.warn(target, f"the snapshots of {name} cannot be read, nor listed: {error}")
            return None
        return plan.wanted(recorded, {int(number) for number in existing})

    def _of_disk(self, vm_id: int, disk_id: int) -> plan.SnapshotList:
        trees = tuple(
            (tree.tag, template.from_element(tree))
            for tree in self._site.frontend.vm(vm_id).iterfind("SNAPSHOTS")
        )
        return plan.of_disk(trees, disk_id)

    def _write(
        self, vm_id: int, disk_id: int, name: str, wanted: plan.ListPlan, aim: plan.SnapshotList, target: str,
        check: Callable[[], None],
    ) -> None:
        """Do the actions; read back. Raises OneDRError."""
        size = self._size(vm_id, disk_id)
        try:
            with snapshot_marks.listing(self._site.pool, name, self._alone) as mark:
                for action in wanted.actions:
                    check()
                    self._do(mark, vm_id, disk_id, action)
        except rados.Error as error:
            raise OneDRError(f"Ceph did not take the note of it: {error}") from error
        if self._size(vm_id, disk_id) < size:  # oned thinks that it went back to a smaller one
            self._site.frontend.call("vm.diskresize", vm_id, disk_id, str(size))
            settle(self._site.frontend, vm_id)
        text = plan.differences(self._of_disk(vm_id, disk_id), aim)
        if text:
            self._site.warn(target, f"the list of snapshots of {name} is not as it was: {text}")

    def _do(self, mark: snapshot_marks.Listing, vm_id: int, disk_id: int, action: plan.Action) -> None:
        frontend, number = self._site.frontend, action.snapshot
        if action.verb == "rename":
            frontend.call("vm.disksnapshotrename", vm_id, disk_id, number, action.name)
            return
        mark.expect(snapshot_marks.Action(action.verb, vm_id, str(number)))
        what = action.name if action.verb == "create" else number
        try:
            made = frontend.call(f"vm.{_CALLS[action.verb]}", vm_id, disk_id, what)
        except FrontEndError as error:
            if error.code:  # refused; without one oned may have begun it
                mark.withdraw()
            raise
        mark.done()
        settle(frontend, vm_id)
        if action.verb == "create" and int(made) != number:
            raise OneDRError(f"oned gave a snapshot the number {made} instead of {number}")

    def _size(self, vm_id: int, disk_id: int) -> int:
        for disk in template.vectors(attributes(self._site.frontend.vm(vm_id)), "DISK"):
            if template.get(disk, "DISK_ID") == str(disk_id):
                return int(template.get(disk, "SIZE"))
        raise OneDRError(f"VM {vm_id} has no disk {disk_id}")

    def _say(self, name: str, target: str, wanted: plan.ListPlan) -> None:
        if wanted.unlisted:
            self._site.warn(
                target, f"{_named(wanted.unlisted)} of {name} cannot be listed here and are kept; see onedr "
                "snapshots"
            )
        if wanted.left:
            self._site.warn(
                target, f"{_named(wanted.left)} of {name} do not exist any more and stay listed; oned keeps "
                "the one reverted to last"
            )

    def _not_listed(self, name: str, target: str, aim: plan.SnapshotList, error: OneDRError) -> None:
        self._site.warn(
            target,
            f"the snapshots of {name} ({_named(aim.snapshots)}) are kept and not all listed here: {error}. "
            "onedr snapshots shows them and tries again",
        )


def _named(numbers: Iterable[int]) -> str:
    return f"snapshots {', '.join(str(number) for number in sorted(numbers))}"
