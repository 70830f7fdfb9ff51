"""Repair what events missed: compare what oned knows, what Ceph holds and what the records say (DESIGN §4, P40)."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import rbd
from lxml import etree

from onedr import names, parse
from onedr.errors import InputError, OneDRError
from onedr.model import Mode
from onedr.ops import protected, record
from onedr.ops.protect import is_signed, parent_of, protect, sign
from onedr.ops.protected import Datastore
from onedr.policy import definition
from onedr.policy.settings import wants_protection
from onedr.ports import ceph, mirror
from onedr.ports.ceph import Pool
from onedr.ports.frontend import FrontEnd, attributes, number

_USABLE = ("READY", "USED", "USED_PERS", "DISABLED")
_IGNORED_VMS = ("DONE", "CLONING", "CLONING_FAILURE")


@dataclass
class Report:
    """What a turn found, by RBD image name. `in_use`: mirrored primaries of VMs that run."""

    recorded: list[str] = field(default_factory=list)
    protected: list[str] = field(default_factory=list)
    waiting: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    mirrored: set[str] = field(default_factory=set)
    in_use: set[str] = field(default_factory=set)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "mirrored": sorted(self.mirrored), "in_use": sorted(self.in_use)}


def reconcile(datastore: Datastore, frontend: FrontEnd) -> Report:
    """One turn over a datastore: every image and disk mirrored, every record true. One bad item never stops the rest."""
    with ceph.connect(datastore.access) as pool:
        return turn(pool, datastore, frontend)


def turn(pool: Pool, datastore: Datastore, frontend: FrontEnd) -> Report:
    """The same on an open pool."""
    report = Report()
    if not datastore.settings.protect:
        return report
    for image in frontend.images():
        if image.findtext("DATASTORE_ID") == str(datastore.datastore_id):
            _each(report, f"image {image.findtext('ID')}", partial(_image, pool, datastore, image, report))
    datastores = protected.all_of(frontend)
    for vm in frontend.vms():
        if definition.vm_state(vm) not in _IGNORED_VMS:
            _each(report, f"VM {vm.findtext('ID')}", partial(_vm, pool, datastore, datastores, vm, frontend, report))
    return report


def _each(report: Report, what: str, action: Callable[[], None]) -> None:
    try:
        action()
    except (rbd.Error, OneDRError) as error:
        report.failed[what] = str(error)


def _image(pool: Pool, datastore: Datastore, element: etree._Element, report: Report) -> None:
    state = definition.image_state(element)
    if state not in _USABLE or not wants_protection(datastore.settings, attributes(element)):
        return
    name = parse.source(element.findtext("SOURCE") or "").name
    if not _is_primary(pool, name):
        return
    now = time.time()
    if record.record_image(pool, datastore.settings, name, element, now):
        report.recorded.append(name)
    if state == "READY" and record.forget_vm(pool, name):
        report.recorded.append(name)
    _mirror(pool, name, datastore, report)


def _vm(
    pool: Pool, datastore: Datastore, datastores: dict[int, Datastore], summary: etree._Element, frontend: FrontEnd,
    report: Report,
) -> None:
    if not any(disk.text == str(datastore.datastore_id) for disk in summary.iterfind("TEMPLATE/DISK/DATASTORE_ID")):
        return
    now = time.time()
    element = frontend.vm(number(summary, "ID"))  # with its secrets, as the hook sees it
    for disk in definition.vm_record(element, {datastore.datastore_id}).disks:
        name = (disk.rbd or "").rpartition("/")[2]
        wanted = wants_protection(datastore.settings, attributes(element, "USER_TEMPLATE"))
        if disk.protected and wanted and names.parse_vm_disk(name) and pool.exists(name) and _is_primary(pool, name):
            _mirror(pool, name, datastore, report)
        if disk.protected and definition.vm_state(element) == "ACTIVE" and name in report.mirrored:
            report.in_use.add(name)
    for name, result in record.record_vm(pool, datastore.settings, element, datastores, now).items():
        if result == "written":
            report.recorded.append(name)
        elif result != "unchanged" and not result.startswith("is the peer's"):
            report.failed[name] = result


def _is_primary(pool: Pool, name: str) -> bool:
    try:
        with pool.image(name, read_only=True) as image:
            return mirror.is_primary(image)
    except rbd.ImageNotFound as error:
        raise InputError(f"RBD image {pool.access.pool}/{name} does not exist") from error


def _mirror(pool: Pool, name: str, datastore: Datastore, report: Report) -> None:
    with pool.image(name, read_only=True) as image:
        mirrored, signed = mirror.mode(image) is not None, is_signed(image)
        must_flatten = parent_of(image) is not None and (
            datastore.settings.mode is Mode.SNAPSHOT or datastore.settings.flatten_clones
        )
    if mirrored:
        report.mirrored.add(name)
        if not signed:
            with pool.image(name) as image:
                sign(image)
        return
    if must_flatten:
        with pool.image(name) as image:
            image.flatten()
    reason = protect(pool, name, datastore.settings)
    if reason:
        report.waiting[name] = reason
    else:
        report.protected.append(name)
        report.mirrored.add(name)
