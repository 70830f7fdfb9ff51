"""`restore`: restore the disks of a powered-off VM from a backup. The stock driver replaces the disk's RBD
image, which ends its mirroring. Here the content is written into the existing image, and only differences are
replicated.

The backup is listed and fetched on the front-end by OpenNebula's own `ls` and downloader. A bridge host
receives blocks.
"""
from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import rbd
from lxml import etree

from onedr.ceph import connection, disk_snapshots, image_data, image_use, images
from onedr.driver import bridge_dispatch, decode, staging, unpack
from onedr.driver import disk as disks
from onedr.driver.disk import Disk
from onedr.host import bridge, process, temp_dirs
from onedr.host.bridge import Answer, Service
from onedr.host.paths import front_end_paths
from onedr.model import parsing, template
from onedr.model.errors import InputError, OneDRError, PartialError, RefusedError
from onedr.model.json_form import Json
from onedr.model.template import Pairs
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.objects import lies_as_file

_VM_FOLDER = re.compile(r"/[^\0]*/datastores/\d+/(\d+)/?")
_ALL = -1  # DISK_ID: every disk of the backup
_TPM = "tpm"
_INCREMENT = "one_backup_"  # snapshots that an incremental backup leaves for the next one
_LIST_LIMIT_S = 600
_TPM_LIMIT_S = 120


def restore(arguments: list[str]) -> str:
    """`HOST:VM_FOLDER VM_ID BACKUP_IMAGE_ID INCREMENT_ID DISK_ID`; DISK_ID -1: all disks of the backup."""
    wanted = _request(arguments)
    frontend = FrontEnd()
    vm = frontend.vm(wanted.vm_id)
    with ExitStack() as stack:
        home = _home(frontend, vm)
        here = _LocalBackup(wanted, vm, home, stack)
        bridge_dispatch.unless_here(home, here.services())
        guest = bridge.bridge_session()
        backup: _Backup = here if guest is None else _BridgeBackup(guest)
        found = [disks.find_disk(frontend, wanted.vm_id, disk_id) for disk_id in backup.disks()]
        for disk in found:
            _check(disk)
        failed = []
        for disk_id, size in backup.stage():
            disk = next(disk for disk in found if disk.disk_id == disk_id)
            try:
                _put_back(frontend, disk, size, backup.blocks(disk_id))
            except (OneDRError, rbd.Error) as error:
                failed.append(f"disk {disk_id}: {error}")
    if failed:
        raise PartialError(
            f"{len(failed)} of {len(found)} disks of VM {wanted.vm_id} were not restored: {'; '.join(failed)}"
        )
    return ""


def refuse(arguments: list[str]) -> str:
    """`REQUEST_ID`: datastore actions on backup images are refused.

    A Ceph datastore has no backups; the stock driver has no such action either.
    """
    decode.words(arguments, "REQUEST_ID")
    raise RefusedError(
        "A Ceph datastore has no backups: restore and flatten increments in their backup datastore."
    )


@dataclass(frozen=True)
class _Request:
    host: str
    folder: str
    vm_id: int
    backup_id: int
    increment: str
    disk_id: int


def _request(arguments: list[str]) -> _Request:
    names = ("TARGET", "VM_ID", "BACKUP_IMAGE_ID", "INCREMENT_ID", "DISK_ID")
    target, vm_text, image_text, increment, disk_text = decode.words(arguments, *names)
    vm_id, place = parsing.count(vm_text, "VM_ID"), decode.remote_path(target)
    match = _VM_FOLDER.fullmatch(place.path)
    if not match or int(match[1]) != vm_id or ".." in place.path:
        raise InputError(f"{target!r} is not the folder of VM {vm_id}.")
    if increment != "-1":
        parsing.count(increment, "INCREMENT_ID")
    disk_id = _ALL if disk_text == str(_ALL) else parsing.count(disk_text, "DISK_ID")
    return _Request(
        place.host, place.path, vm_id, parsing.count(image_text, "BACKUP_IMAGE_ID"), increment, disk_id
    )


class _Backup(Protocol):
    """The disks of a backup, wherever they were fetched."""

    def disks(self) -> list[int]: ...

    def stage(self) -> list[tuple[int, int]]: ...

    def blocks(self, disk_id: int) -> Iterator[tuple[int, bytes]]: ...


@dataclass
class _LocalBackup:
    """A backup on the front-end: listed, fetched and unpacked into the staging folder,
    which exists until `stack` ends.
    """

    request: _Request
    vm: etree._Element
    home: Pairs
    stack: ExitStack
    _urls: dict[str, str] = field(default_factory=dict)
    _files: dict[int, Path] = field(default_factory=dict)
    _open: dict[int, Iterator[tuple[int, bytes]]] = field(default_factory=dict)

    def disks(self) -> list[int]:
        """The ids of the disks to restore. Raises InputError when the backup has none of them."""
        frontend = FrontEnd()
        image = frontend.image(self.request.backup_id)
        # decrypted
        store = template.parse_xml(
            frontend.call("datastore.info", parsing.integer(image, "DATASTORE_ID"), True)
        )
        self._urls = _wanted(_listed(store, self.vm, image, self.request.increment), self.request)
        return sorted(int(disk) for disk in self._urls if disk != _TPM)

    def stage(self) -> list[tuple[int, int]]:
        """(disk id, bytes) of each disk.

        All are fetched before anything is changed. Then the VM's TPM is restored, as in the stock driver.
        """
        folder = self.stack.enter_context(temp_dirs.temp_folder(staging.staging_folder(self.home)))
        for disk, url in self._urls.items():
            own = folder / disk
            own.mkdir()
            staging.fetch(url, own / "download")
            if disk != _TPM:
                self._files[int(disk)] = unpack.raw(own / "download", url, own)
        if _TPM in self._urls:
            _restore_tpm(folder / _TPM / "download", self.request)
        return [(disk, path.stat().st_size) for disk, path in sorted(self._files.items())]

    def blocks(self, disk_id: int) -> Iterator[tuple[int, bytes]]:
        """The disk's blocks that are not zero."""
        return images.blocks_of(self._files[disk_id])

    def services(self) -> dict[str, Service]:
        """The same for a bridge host."""
        def block(call: Json) -> Answer:
            disk = int(call["disk"])
            return next(self._open.setdefault(disk, self.blocks(disk)), (None, b""))

        return {
            "backup_disks": lambda _: (self.disks(), b""),
            "backup_stage": lambda _: (self.stage(), b""),
            "backup_block": block,
        }


@dataclass(frozen=True)
class _BridgeBackup:
    """A backup on a bridge host: its data comes from the front-end."""

    front_end: bridge.BridgeSession

    def disks(self) -> list[int]:
        return [int(disk) for disk in self.front_end.call("backup_disks")[0]]

    def stage(self) -> list[tuple[int, int]]:
        return [(int(disk), int(size)) for disk, size in self.front_end.call("backup_stage")[0]]

    def blocks(self, disk_id: int) -> Iterator[tuple[int, bytes]]:
        while True:
            offset, block = self.front_end.call("backup_block", disk=disk_id)
            if offset is None:
                return
            yield int(offset), block


def _listed(
    store: etree._Element, vm: etree._Element, image: etree._Element, increment: str
) -> dict[str, str]:
    """Disk id (or `tpm`) -> address, from the backup datastore's own `ls`.

    Raises InputError, ProcessError.
    """
    driver = store.findtext("DS_MAD") or ""
    if not parsing.NAME.fullmatch(driver):
        raise InputError(f"Backup datastore {store.findtext('NAME')} has no usable DS_MAD ({driver!r}).")
    program = front_end_paths().remotes / "datastore" / driver.lower() / "ls"
    data = etree.Element("DS_DRIVER_ACTION_DATA")
    data.extend([store, vm, image])
    output = process.run_program(
        [str(program), "-i", increment], _LIST_LIMIT_S, feed=etree.tostring(data, encoding="unicode")
    )
    try:
        return {str(disk): str(url) for disk, url in json.loads(output).items()}
    except (ValueError, AttributeError) as error:
        raise InputError(
            f"Backup datastore {store.findtext('NAME')} returned an invalid list of its backup: "
            f"{output[:200]!r}"
        ) from error


def _wanted(listed: dict[str, str], request: _Request) -> dict[str, str]:
    """The disks to restore. The TPM is restored with disk 0, as in the stock driver."""
    chosen = {
        disk: url for disk, url in listed.items() if disk.isdecimal() and request.disk_id in (_ALL, int(disk))
    }
    if not chosen:
        raise InputError(
            f"Backup image {request.backup_id} has no disk {request.disk_id} of VM {request.vm_id}."
        )
    if _TPM in listed and "0" in chosen:
        chosen[_TPM] = listed[_TPM]
    return chosen


def _restore_tpm(archive: Path, request: _Request) -> None:
    """Replace the VM's `tpm` folder from a gzip tar.

    Raises InputError for an archive with other paths.
    """
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member in packed:
                if (
                    member.name.split("/")[0] != _TPM
                    or ".." in member.name
                    or not (member.isfile() or member.isdir())
                ):
                    raise InputError(
                        f"The backup's TPM state contains {member.name!r}, which is not below {_TPM}/."
                    )
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"The backup's TPM state is damaged: {error}") from error
    process.on_host(request.host, ["rm", "-rf", "--", f"{request.folder.rstrip('/')}/{_TPM}"], _TPM_LIMIT_S)
    command = process.host_command(
        request.host, ["tar", "-C", request.folder, "--no-same-owner", "-xzf", "-"]
    )
    with process.stream(command, _TPM_LIMIT_S, into=True) as pipe:
        pipe.write(archive.read_bytes())


def _check(disk: Disk) -> None:
    """Raise before anything is fetched when the disk cannot be restored."""
    if lies_as_file(disk.attributes):
        raise RefusedError(
            f"Disk {disk.disk_id} of VM {disk.vm_id} is a file on its host; this action restores RBD disks "
            "only."
        )
    name = disk.rbd_name
    with connection.connect(disk.connect(name.pool)) as pool:
        disks.must_be_primary(pool, name.name)
        image_use.wait_until_no_writer(pool, name.name)


def _put_back(frontend: FrontEnd, disk: Disk, size: int, blocks: Iterator[tuple[int, bytes]]) -> None:
    name = disk.rbd_name
    with connection.connect(disk.connect(name.pool)) as pool:
        image_data.rewrite(pool, name.name, size, blocks)
        with pool.image(name.name) as image:
            known = images.snapshots(image)
            for snapshot in known:
                if snapshot.startswith(_INCREMENT):  # the next backup will be a full one
                    images.drop_snapshot(image, snapshot)
        # oned removes the snapshots of such a disk
        if template.get(disk.attributes, "CLONE").upper() == "YES":
            for snapshot in filter(str.isdecimal, known):
                disk_snapshots.delete_snapshot(pool, name.name, snapshot)
        if template.get(disk.attributes, "SOURCE"):
            disks.protect_disk(
                pool, name.name, disks.read_datastore(frontend, _datastore_id(disk.attributes)), disk
            )


def _home(frontend: FrontEnd, vm: etree._Element) -> Pairs:
    """Attributes of the datastore of the VM's first disk that has one.

    Its bridges and staging folder are used for the whole restore.
    """
    owned = (disk for disk in template.vectors(attributes(vm), "DISK") if template.get(disk, "DATASTORE_ID"))
    first = next(owned, None)
    return () if first is None else disks.read_datastore(frontend, _datastore_id(first)).attributes


def _datastore_id(disk: Pairs) -> int:
    return parsing.count(template.get(disk, "DATASTORE_ID"), "DATASTORE_ID of the disk")
