"""Write the definitions of images and VMs to the disks they belong to (docs/records.md)."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

import rbd
from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.model.errors import OneDRError, RecordError, SchemaError
from onedr.model.records import Envelope, ImageRecord, VmRecord
from onedr.model.types import Settings
from onedr.opennebula import files, network_owners
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.files import FileImage
from onedr.opennebula.run_made import is_of_run
from onedr.opennebula.vm_template import is_half_made
from onedr.replication import encryption, ledger, reader_records, records, secrets, signature
from onedr.replication.file_names import file_names
from onedr.replication.ledger import Entry
from onedr.replication.records import Reader


def encrypt_secrets(
    attributes: template.Pairs, key: encryption.RecordKey | None, *bound: str, also: Collection[str] = ()
) -> template.Pairs:
    """The template with its secrets encrypted, or without them when there is no key; then their positions are
    listed. Never in plain text.

    `bound`: the VM's origin and the part of its record, without which they do not open. `also`: names of
    DR_SECRET_ATTRS. What a user wrote
    under the names that the record itself uses is no part of it.
    """
    own = template.without(attributes, secrets.ENCRYPTED, secrets.WITHHELD)
    kept, found = secrets.split_secrets(own, also)
    if not found:
        return own
    if key is None:
        return (*kept, (secrets.WITHHELD, ",".join(place for place, _ in found)))
    return (*kept, (secrets.ENCRYPTED, encryption.encrypt(key, found, *bound)))


@dataclass(frozen=True)
class WritingSite:
    """What each record of a site says of it: its name, its cluster's id, how its monitors are reached."""

    site: str
    fsid: str
    mon_host: str

    def envelope(self, body: ImageRecord | VmRecord, now: float) -> Envelope:
        """A record that is ready to be written.

        Its generation is the writing time in microseconds, so that later ones are higher without a counter.
        """
        return Envelope(
            schema=records.SCHEMA, site=self.site, fsid=self.fsid, mon_host=self.mon_host,
            generation=int(now * 1e6), written_at=now, body=body,
        )


def writing_site(pool: Pool, settings: Settings) -> WritingSite:
    """This site, as it is now."""
    return WritingSite(settings.site or pool.fsid()[:8], pool.fsid(), pool.mon_host())


def envelope(pool: Pool, settings: Settings, body: ImageRecord | VmRecord, now: float) -> Envelope:
    """A record of this site that is ready to be written."""
    return writing_site(pool, settings).envelope(body, now)


def image_body(element: etree._Element, entry_of: Callable[[int, str], Entry | None]) -> ImageRecord | None:
    """What an image's record says; None while it must have none. `entry_of`: its entry in the ledger, by
    OpenNebula id and RBD name.
    """
    body = opennebula_objects.image_record(element)
    if is_half_made(body.template):
        return None
    entry = entry_of(body.image_id, (element.findtext("SOURCE") or "").partition("/")[2])
    return body if entry is None else replace(body, origin=entry.origin, stands_for=entry.stands_for)


def record_image(pool: Pool, settings: Settings, name: str, element: etree._Element, now: float) -> bool:
    """Write an image's record to its RBD image. Returns whether it changed."""
    body = image_body(
        element, lambda image_id, source: ledger.read_entry(pool, "image", image_id, (source,))
    )
    if body is None:
        return False
    key = encryption.load_key(front_end_paths().record_key)
    with pool.image(name) as image:
        return _put(pool, image, records.IMAGE_KEY, envelope(pool, settings, body, now), key)


def has_image_record(
    pool: Pool, settings: Settings, image: rbd.Image, element: etree._Element, now: float
) -> bool:
    """Is what `record_image` would write already there? The image may be open for reading only."""
    body = image_body(
        element, lambda image_id, source: ledger.read_entry(pool, "image", image_id, (source,))
    )
    if body is None:
        return True
    signer = signature.signer(encryption.load_key(front_end_paths().record_key), image)
    present = records.metadata(image)
    return records.is_current(records.IMAGE_KEY, present, envelope(pool, settings, body, now), signer)


@dataclass(frozen=True)
class Surroundings:
    """What a VM's record depends on besides the VM. `files`: of its OS, by id; `exists`: is there an RBD
    image `pool/name`? `copied`: of reader_records.copied_from. `secret`: DR_SECRET_ATTRS of the datastores.
    `networks`: owners of users' networks, by id.
    """

    files: Mapping[int, FileImage] = field(default_factory=dict)
    exists: Callable[[str], bool] = lambda name: True
    copied: Mapping[int, str] = field(default_factory=dict)
    secret: frozenset[str] = frozenset()
    networks: Mapping[int, str] = field(default_factory=dict)


def surroundings(
    pool: Pool, frontend: FrontEnd, datastores: Mapping[int, Datastore],
    networks: Callable[[], Iterable[etree._Element]], vm: etree._Element,
) -> Surroundings:
    """As they are now. `networks`: all of them, asked for where a VM has one. Raises FrontEndError."""
    return Surroundings(
        file_names(frontend, vm), lambda name: _exists(pool, name), reader_records.copied_from(frontend, vm),
        secret_attributes(datastores), network_owners.owners(networks()) if _has_network(vm) else {},
    )


def _has_network(vm: etree._Element) -> bool:
    return any(True for kind in ("NIC", "NIC_ALIAS") for _ in vm.iterfind(f"TEMPLATE/{kind}/NETWORK_ID"))


def secret_attributes(datastores: Mapping[int, Datastore]) -> frozenset[str]:
    """DR_SECRET_ATTRS of all of them: a VM with disks in two has one record."""
    return frozenset().union(*(each.settings.secret_attrs for each in datastores.values()))


def _exists(pool: Pool, image: str) -> bool:
    """Of another pool nothing is known, and nothing assumed to be missing."""
    where, _, name = image.partition("/")
    return where != pool.access.pool or pool.exists(name)


def vm_body(
    element: etree._Element, protected: Collection[int], fsid: str, key: encryption.RecordKey | None,
    entry_of: Callable[[int, Collection[str]], Entry | None], around: Surroundings,
) -> VmRecord | None:
    """What a VM's record says, with its secrets encrypted under `key`; None while it must have none.

    `entry_of`: its entry in the ledger, by OpenNebula id and RBD names.
    """
    body = opennebula_objects.vm_record(element, protected)
    if is_half_made(body.user_template) or is_of_run(element):
        return None
    entry = entry_of(body.vm_id, [str(disk.rbd).partition("/")[2] for disk in body.disks if disk.rbd])
    origin = f"{fsid}:{body.vm_id}"
    found = replace(
        body,
        origin=entry.origin if entry else "",
        template=encrypt_secrets(
            network_owners.with_owners(files.with_names(body.template, around.files), around.networks),
            key, origin, "template", also=around.secret),
        user_template=encrypt_secrets(
            body.user_template, key, origin, "user_template", also=around.secret),
    )
    return reader_records.as_found(found, around.exists, around.copied)


def disks_to_record(body: VmRecord, pool_name: str) -> list[str]:
    """RBD names of the disks in this pool that carry the VM's record."""
    found = [(disk, (disk.rbd or "").partition("/")) for disk in body.disks]
    return [
        name for disk, (where, _, name) in found
        if disk.protected and not disk.shared and where == pool_name
    ]


def places(body: VmRecord, pool_name: str, fsid: str) -> dict[str, str]:
    """By RBD name in this pool, the key under which the VM's record is there: its disks, or what it reads
    through.
    """
    key = Reader(fsid, body.vm_id).key
    return {
        **dict.fromkeys(disks_to_record(body, pool_name), records.VM_KEY),
        **dict.fromkeys(reader_records.carriers(body, pool_name), key),
    }


def record_vm(
    pool: Pool,
    settings: Settings,
    element: etree._Element,
    protected_datastores: Mapping[int, object],
    now: float,
    around: Surroundings,
) -> dict[str, str]:
    """Write a VM's record to each of its protected disks in this pool, or, when it has none of its own, to
    the images it reads through.

    Returns for each disk `written`, `unchanged`, or an error message. A bad disk never stops the others.
    """
    key = encryption.load_key(front_end_paths().record_key)
    body = vm_body(
        element, protected_datastores.keys(), pool.fsid(), key,
        lambda vm_id, disks: ledger.read_entry(pool, "vm", vm_id, disks), around,
    )
    if body is None:
        return {}
    written = envelope(pool, settings, body, now)
    results = {}
    for name, kind in places(body, pool.access.pool, pool.fsid()).items():
        try:
            with pool.image(name) as image:
                if not mirroring.is_primary(image):
                    results[name] = "is the peer's copy, whose record is written there"
                    continue
                results[name] = "written" if _put(pool, image, kind, written, key) else "unchanged"
        except (rbd.Error, OneDRError) as error:
            results[name] = str(error)
    return results


def recorded_state(pool: Pool, name: str) -> str:
    """The VM's state in the record that a disk has; empty without a readable one. Raises rbd.Error."""
    with pool.image(name, read_only=True) as image, suppress(RecordError):
        found = records.decode(records.VM_KEY, records.metadata(image))
        return found.body.state if found is not None and isinstance(found.body, VmRecord) else ""
    return ""


def remove_vm_record(pool: Pool, name: str) -> bool:
    """Take the VM record of this site, or one that cannot be read, off an image that no VM uses.
    Returns whether there was one.
    """
    with pool.image(name) as image:
        if not mirroring.is_primary(image) or not is_ours(pool.fsid(), records.metadata(image)):
            return False
        removed = records.remove_records(image, records.VM_KEY)
        mirroring.publish_changes(pool, image)
        return removed


def is_ours(fsid: str, values: Mapping[str, str]) -> bool:
    """Was the VM's record in an image's metadata written by the site of this cluster, or is it damaged?

    Raises SchemaError for a newer release's record.
    """
    try:
        found = records.decode(records.VM_KEY, values)
    except SchemaError:
        raise
    except RecordError:
        return True
    return found is not None and found.fsid == fsid


def _put(
    pool: Pool, image: rbd.Image, kind: str, written: Envelope, key: encryption.RecordKey | None
) -> bool:
    changed = records.write_record(image, kind, written, signature.signer(key, image))
    if changed:
        mirroring.publish_changes(pool, image)
    return changed
