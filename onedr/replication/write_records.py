"""Write the definitions of images and VMs to the disks they belong to (docs/records.md)."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import rbd
from lxml import etree

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.model.errors import OneDRError, RecordError, SchemaError
from onedr.model.records import Envelope, ImageRecord, VmRecord
from onedr.model.types import Settings
from onedr.opennebula import files
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.files import FileImage
from onedr.opennebula.vm_template import is_half_made, is_of_run
from onedr.replication import encryption, ledger, records, secrets, signature


def encrypt_secrets(
    attributes: template.Pairs, key: encryption.RecordKey | None, *bound: str
) -> template.Pairs:
    """The template with its secrets encrypted, or without them when there is no key; then their positions are
    listed. Never in plain text.

    `bound`: the VM's origin and the part of its record, without which they do not open.
    """
    kept, found = secrets.split_secrets(attributes)
    if not found:
        return attributes
    if key is None:
        return (*kept, (secrets.WITHHELD, ",".join(place for place, _ in found)))
    return (*kept, (secrets.ENCRYPTED, encryption.encrypt(key, found, *bound)))


def envelope(pool: Pool, settings: Settings, body: ImageRecord | VmRecord, now: float) -> Envelope:
    """A record that is ready to be written.

    Its generation is the writing time in microseconds, so that later ones are higher without a counter.
    """
    return Envelope(
        schema=records.SCHEMA,
        site=settings.site or pool.fsid()[:8],
        fsid=pool.fsid(),
        mon_host=pool.mon_host(),
        generation=int(now * 1e6),
        written_at=now,
        body=body,
    )


def record_image(pool: Pool, settings: Settings, name: str, element: etree._Element, now: float) -> bool:
    """Write an image's record to its RBD image. Returns whether it changed."""
    body = opennebula_objects.image_record(element)
    if is_half_made(body.template):
        return False
    key = encryption.load_key(front_end_paths().record_key)
    source = (element.findtext("SOURCE") or "").partition("/")[2]
    entry = ledger.read_entry(pool, "image", body.image_id, (source,))
    if entry is not None:
        body = replace(body, origin=entry.origin, stands_for=entry.stands_for)
    with pool.image(name) as image:
        return _put(pool, image, records.IMAGE_KEY, envelope(pool, settings, body, now), key)


def record_vm(
    pool: Pool,
    settings: Settings,
    element: etree._Element,
    protected_datastores: Mapping[int, object],
    now: float,
    file_images: Mapping[int, FileImage],
) -> dict[str, str]:
    """Write a VM's record to each of its protected disks in this pool. `file_images`: of its OS, by id.

    Returns for each disk `written`, `unchanged`, or an error message. A bad disk never stops the others.
    """
    body = opennebula_objects.vm_record(element, protected_datastores.keys())
    if is_half_made(body.user_template) or is_of_run(body.user_template):
        return {}
    disks = [str(disk.rbd).partition("/")[2] for disk in body.disks if disk.rbd]
    entry = ledger.read_entry(pool, "vm", body.vm_id, disks)
    body = replace(body, origin=entry.origin if entry else "")
    key = encryption.load_key(front_end_paths().record_key)
    origin = f"{pool.fsid()}:{body.vm_id}"
    body = replace(
        body,
        template=encrypt_secrets(files.with_names(body.template, file_images), key, origin, "template"),
        user_template=encrypt_secrets(body.user_template, key, origin, "user_template"),
    )
    written = envelope(pool, settings, body, now)
    results = {}
    for disk in body.disks:
        pool_name, _, name = (disk.rbd or "").partition("/")
        if not disk.protected or disk.shared or pool_name != pool.access.pool:
            continue
        try:
            with pool.image(name) as image:
                if not mirroring.is_primary(image):
                    results[name] = "is the peer's copy, whose record is written there"
                    continue
                results[name] = "written" if _put(pool, image, records.VM_KEY, written, key) else "unchanged"
        except (rbd.Error, OneDRError) as error:
            results[name] = str(error)
    return results


def remove_vm_record(pool: Pool, name: str) -> bool:
    """Take the VM record of this site, or one that cannot be read, off an image that no VM uses. Returns
    whether there was one.
    """
    with pool.image(name) as image:
        if not mirroring.is_primary(image) or not _is_ours(pool, records.metadata(image)):
            return False
        removed = records.remove_records(image, records.VM_KEY)
        mirroring.publish_changes(pool, image)
        return removed


def _is_ours(pool: Pool, values: Mapping[str, str]) -> bool:
    try:
        found = records.decode(records.VM_KEY, values)
    except SchemaError:
        raise
    except RecordError:
        return True
    return found is not None and found.fsid == pool.fsid()


def _put(
    pool: Pool, image: rbd.Image, kind: str, written: Envelope, key: encryption.RecordKey | None
) -> bool:
    changed = records.write_record(image, kind, written, signature.signer(key, image))
    if changed:
        mirroring.publish_changes(pool, image)
    return changed
