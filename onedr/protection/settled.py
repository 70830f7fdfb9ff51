"""What needs nothing in a turn of reconcile: seen from the whole pool read at once, so that only the rest is
opened.

It never says more than opening would: where anything is not known or not in order, the object is not settled.
"""
from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import rados
import rbd
from lxml import etree

from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model import names
from onedr.model.errors import OneDRError, RecordError
from onedr.model.records import ImageRecord, VmRecord
from onedr.model.types import Settings
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import number
from onedr.replication import (
    encryption,
    image_view,
    ledger,
    reader_records,
    records,
    signature,
    write_records,
)
from onedr.replication.image_view import ImageView
from onedr.replication.ledger import Ledger
from onedr.replication.mirror_image import PROBLEM_KEY
from onedr.replication.write_records import Surroundings, WritingSite


@dataclass(frozen=True)
class PoolView:
    """A pool as it was when the turn began: its images by name, and what this site's records would say.

    `known`: from turn to turn, the VMs that were settled, each as it was then (`vm_state`).
    """

    images: Mapping[str, ImageView]
    pool: str
    site: WritingSite
    ledger: Ledger
    key: encryption.RecordKey | None
    now: float
    known: dict[int, str] = field(default_factory=dict)
    listed: frozenset[str] = frozenset()  # names of all RBD images, also of those that cannot be read

    def is_copy(self, name: str) -> bool:
        """Is it the peer's copy, which is written there?"""
        return name in self.images and not self.images[name].primary

    def is_mirrored(self, name: str) -> bool:
        """Is it a mirrored primary, with nothing to be noted on it or taken off?"""
        view = self.images.get(name)
        return (
            view is not None and view.primary and view.mode is not None and view.owns_metadata
            and PROBLEM_KEY not in view.metadata
        )

    def image_settled(self, name: str, element: etree._Element, ready: bool) -> bool:
        """Is everything of an OpenNebula image as it should be? `ready`: no VM uses it.

        Raises InputError for an incomplete element.
        """
        if not self.is_mirrored(name):
            return False
        body = write_records.image_body(element, self.ledger.image)
        if body is not None and not self._is_current(records.IMAGE_KEY, name, body):
            return False
        return not ready or not self._has_own_vm(name)

    def exists(self, image: str) -> bool:
        """Is there an RBD image `pool/name`? Of another pool nothing is known to be missing."""
        where, _, name = image.partition("/")
        return where != self.pool or name in self.images or name in self.listed

    def vm_settled(
        self, element: etree._Element, protected: Collection[int], around: Surroundings
    ) -> bool:
        """Is its record on all its disks that carry one? Raises InputError for an incomplete element."""
        body = write_records.vm_body(
            element, protected, self.site.fsid, self.key, self.ledger.vm, around
        )
        if body is None:
            return True
        return all(
            self.is_copy(name) or self._is_current(kind, name, body)
            for name, kind in write_records.places(body, self.pool, self.site.fsid).items()
        )

    def vm_state(
        self, summary: etree._Element, protected: Collection[int], secret: Collection[str] = ()
    ) -> str:
        """Everything that a VM's record, and whether it is on the disks, depends on; as a checksum.

        `summary`: the VM from the pool call, in which secrets are encrypted.
        `secret`: names of DR_SECRET_ATTRS.
        """
        body = VmRecord(  # what is left out is in the parts of the VM
            number(summary, "ID"), "", "", "", "", opennebula_objects.vm_state(summary), (), (),
            opennebula_objects.vm_disks(summary, protected),
        )
        parts: list[object] = [
            self.site, self.key, sorted(protected), sorted(secret), self.ledger.vms.get(body.vm_id)]
        parts += opennebula_objects.lasting_parts(summary)
        body = reader_records.as_found(body, self.exists, {})
        for name, kind in write_records.places(body, self.pool, self.site.fsid).items():
            view = self.images.get(name)
            parts.append(view and (
                name, view.primary, view.mode, view.global_id,
                sorted(each for each in view.metadata.items() if each[0].startswith(kind)),
            ))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def _is_current(self, kind: str, name: str, body: ImageRecord | VmRecord) -> bool:
        view = self.images.get(name)
        if view is None:
            return False
        signer = signature.signer_of(self.key, view.global_id, name)
        try:
            return records.is_current(kind, view.metadata, self.site.envelope(body, self.now), signer)
        except RecordError:
            return False

    def _has_own_vm(self, name: str) -> bool:
        try:
            return write_records.is_ours(self.site.fsid, self.images[name].metadata)
        except RecordError:
            return True


def read_pool(pool: Pool, settings: Settings, known: dict[int, str]) -> PoolView | None:
    """The pool now; None when a part of it cannot be read: then everything is looked at one by one."""
    try:
        listed = frozenset(pool.names())
        views = image_view.read_views(pool, sorted(filter(names.is_managed, listed)))
        return PoolView(
            images={name: view for name, view in views.items() if isinstance(view, ImageView)},
            pool=pool.access.pool,
            site=write_records.writing_site(pool, settings),
            ledger=ledger.read_ledger(pool),
            key=encryption.load_key(front_end_paths().record_key),
            now=time.time(),
            known=known,
            listed=listed,
        )
    except (rados.Error, rbd.Error, OneDRError, ValueError, TypeError):
        return None
