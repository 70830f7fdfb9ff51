"""A rehearsal's objects at this site: images that stand for the copies, and VMs on hold, each read back.

They are made by the calls of a failover, with its owner, group and permissions. A stand-in is registered by
a SOURCE that does not exist, with the copy's size: oned calls no driver for it (docs/opennebula-facts.md O1),
and its deletion finds nothing to remove.
"""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from onedr.failover import image_subject, recreate_vms, vm_nics
from onedr.failover.target_site import Site, give
from onedr.model import names, template
from onedr.model.errors import OneDRError
from onedr.model.records import ImageFacts
from onedr.model.template import Pairs
from onedr.model.types import MIB
from onedr.opennebula import image_template, scheduled_actions, vm_template
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import attributes
from onedr.opennebula.mapped import Owner, with_owner
from onedr.rehearsal.difference_rules import Shown, differences
from onedr.replication import rehearsals
from onedr.replication.inventory import VmItem

_ASIDE = "its owner"  # target of warnings that the comparison says better
_NOT_OF_A_REHEARSAL = (*vm_template.MARKS, "DR_PROTECT", "NAME")
_FAR_S = 366 * 86400  # from now: no action of a rehearsal's VM is due while it exists, nor if it is left


@dataclass
class Maker:
    """Makes the objects of one turn; threads may share it. `token`: the turn's."""

    site: Site
    token: str
    stand_ins: dict[str, int] = field(default_factory=dict)  # image id by RBD name of the copy
    _one: threading.Lock = field(default_factory=threading.Lock)

    def stand_in(self, image: ImageFacts, item: VmItem) -> int:
        """The image that stands for a copy, made once. Returns its id."""
        with self._one:  # two VMs may use one image
            if image.name not in self.stand_ins:
                self.stand_ins[image.name] = self._register(image, item)
            return self.stand_ins[image.name]

    def _register(self, image: ImageFacts, item: VmItem) -> int:
        site, subject = self.site, image_subject.subject_of(self.site.here, image, item)
        name = names.stand_in(self.token, image.name)
        source, size_mib = f"{site.pool.access.pool}/{name}", -(-image.size // MIB)
        described = image_template.image_description(
            name, subject.kind, subject.persistent, source, size_mib, "")
        image_id = site.frontend.allocate_image((*described, *self._marks()), site.datastore_id)
        rehearsals.note(site.pool, site.datastore_id, "image", image_id, self.token)
        give(
            site, "image", image_id, Owner(subject.owner, subject.group), subject.permissions, _ASIDE
        )
        own = template.without(image_template.portable_image(subject.attributes), "DR_PROTECT")
        site.frontend.update_image(image_id, (*own, *self._marks()))
        return image_id

    def create(self, item: VmItem) -> tuple[str, ...]:
        """Create the VM on hold. Returns what is not as it was.

        Raises OneDRError when it would not be accepted; FrontEndError has oned's own words.
        """
        site, record = self.site, recreate_vms.with_secrets(self.site, item)
        images = {image.name: self.stand_in(image, item) for image in item.images}
        image_ids = {
            disk.disk_id: images[name] for disk in record.disks
            if disk.protected and (name := str(disk.rbd).rpartition("/")[2]) in images
        }
        built = vm_template.recreate(
            record, item.origin, item.envelope.site, image_ids, site.counterparts, False
        )
        asked = vm_template.Recreation(
            scheduled_actions.postponed(_plain(built.template), int(time.time()) + _FAR_S),
            _plain(built.user_template),
            (*built.warnings, *site.warnings.get(item.origin, ())),
        )
        name = image_template.fitting_name(f"{names.REHEARSAL}{record.name}")
        vm_id = recreate_vms.allocate(site, (("NAME", name), *asked.template, *self._marks()))
        rehearsals.note(site.pool, site.datastore_id, "vm", vm_id, self.token)
        vm_nics.keep_to_asked(site.frontend, vm_id, built.template)
        give(site, "vm", vm_id, Owner(record.owner, record.group), record.permissions, _ASIDE)
        site.frontend.replace_vm(vm_id, (*asked.user_template, *self._marks()))
        called = with_owner(record, site.counterparts.mapping)
        return differences(called, asked, self._read_back(vm_id))

    def _marks(self) -> Pairs:
        return (("DR_PROTECT", "NO"), (vm_template.REHEARSAL, self.token))

    def _read_back(self, vm_id: int) -> Shown:
        vm = self.site.frontend.vm(vm_id)
        state = opennebula_objects.vm_state(vm)
        if state != "HOLD":
            raise OneDRError(f"it was created, and is {state} instead of HOLD; onevm show {vm_id}")
        return Shown(
            attributes(vm), attributes(vm, "USER_TEMPLATE"), vm.findtext("UNAME") or "",
            vm.findtext("GNAME") or "", opennebula_objects.permissions(vm),
        )


def _plain(pairs: Pairs) -> Pairs:
    return template.without(pairs, *_NOT_OF_A_REHEARSAL)
