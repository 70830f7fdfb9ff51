"""Datastore driver actions on images:
cp, mkfs, clone, rm, stat (argv and answers: docs/opennebula-facts.md O11, O12).
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import rbd

from onedr.ceph import connection, images
from onedr.ceph.connection import Pool
from onedr.driver import bridge_dispatch, decode
from onedr.driver.decode import ActionData
from onedr.driver.source import raw_data, services
from onedr.host import log, process, temp_dirs
from onedr.model import names, parsing, template
from onedr.model.errors import InputError, OneDRError
from onedr.model.settings import wants_protection
from onedr.model.types import MIB
from onedr.opennebula.ceph_access import file_systems, moves_to_trash
from onedr.protection import keeper_lock
from onedr.replication.mirror_image import protect_image

_MKFS_LIMIT_S = 3600


def _input() -> ActionData:
    """The driver data of a call that is to be done here.

    When a bridge host does the work, nothing returns (driver.bridge_dispatch).
    """
    data = decode.action_data(bridge_dispatch.read_stdin())
    with ExitStack() as staged:
        bridge_dispatch.unless_here(data.attributes, services(data, staged))
    return data


def cp(arguments: list[str]) -> str:
    """Copy PATH into the pool. Returns `pool/image raw`."""
    data = _input()
    with _new_image(data, arguments) as (pool, name), raw_data(data) as found:
        _make(pool, data, name, lambda: images.import_blocks(pool, name, found.size, found.blocks))
        return f"{pool.access.pool}/{name} raw"


def mkfs(arguments: list[str]) -> str:
    """Create an empty image of SIZE MiB, with a file system when FS is set.

    Returns `pool/image`; oned uses the whole line.
    """
    data = _input()
    image = data.wanted_image()
    size = parsing.integer(image, "SIZE") * MIB
    file_system = image.findtext("FS") or ""
    with _new_image(data, arguments) as (pool, name):
        if image.findtext("FORMAT") != "save_as":  # cpds creates it
            with _file_system(file_system, size, data) as path:
                _make(pool, data, name, lambda: make_blank(pool, name, size, path))
        return f"{pool.access.pool}/{name}"


def clone(arguments: list[str]) -> str:
    """Make a full copy of the image whose SOURCE is in PATH. Returns `pool/image raw`."""
    data = _input()
    source = parsing.source(data.wanted_image().findtext("PATH") or "")
    with _new_image(data, arguments) as (pool, name):
        if source.pool != pool.access.pool:
            raise InputError(f"Cannot clone {source}: it is in another pool than {pool.access.pool}.")
        if not pool.exists(source.name):
            raise InputError(f"Cannot clone {source}: there is no such RBD image.")
        _make(pool, data, name, lambda: images.copy_image(pool, source.name, name))
        return f"{pool.access.pool}/{name} raw"


def rm(arguments: list[str]) -> str:
    """Remove an image, or refuse when data would be lost. The reason is also written to the image."""
    decode.words(arguments, "IMAGE_ID")
    from onedr.protection import delete_image

    data = _input()
    image = data.wanted_image()
    if image.findtext("SOURCE") in (None, "", "-"):
        delete_image.remove_unregistered(image, data.settings.site_index, data.access)
    else:
        delete_image.remove_image(image, data.access, moves_to_trash(data.attributes))
    return ""


def stat(arguments: list[str]) -> str:
    """The size of what PATH names in MiB, rounded up."""
    decode.words(arguments, "REQUEST_ID")
    data = decode.action_data(bridge_dispatch.read_stdin())
    from onedr.driver import staging  # HTTP and checksums take 20 ms to load

    size = staging.virtual_size(data.wanted_image(), data.attributes)
    return str(-(-size // MIB))


@contextmanager
def _new_image(data: ActionData, arguments: list[str]) -> Iterator[tuple[Pool, str]]:
    image_id = parsing.count(decode.words(arguments, "IMAGE_ID")[0], "IMAGE_ID")
    name = names.image(image_id, data.settings.site_index)
    with connection.connect(data.access) as pool:
        yield pool, name


def _make(pool: Pool, data: ActionData, name: str, action: Callable[[], None]) -> None:
    image = data.wanted_image()
    with images.creating(pool, name, f"image {parsing.integer(image, 'ID')}"):
        action()
    own = image.find("TEMPLATE")
    if not wants_protection(data.settings, () if own is None else template.from_element(own)):
        return
    from onedr.replication.write_records import record_image

    try:
        record_image(pool, data.settings, name, image, time.time())
    except (rbd.Error, OneDRError) as error:
        log.warn_oned(f"the record of {name} was not written, reconcile will retry: {error}")
    reason = protect_image(pool, name, data.settings)
    if reason:
        log.warn_oned(f"{name} is not protected yet: {reason}")
    keeper_lock.wake_keeper(data.datastore_id)


def make_blank(pool: Pool, name: str, size: int, formatted: Path | None) -> None:
    """Create an empty image of `size` bytes, or one with the file system in `formatted`."""
    if formatted is None:
        images.create_image(pool, name, size)
    else:
        images.import_file(pool, name, formatted)


@contextmanager
def _file_system(kind: str, size: int, data: ActionData) -> Iterator[Path | None]:
    if not kind:
        yield None
        return
    from onedr.driver import staging

    with formatted_file(kind, size, staging.staging_folder(data.attributes)) as path:
        yield path


@contextmanager
def formatted_file(kind: str, size: int, folder: Path) -> Iterator[Path]:
    """A sparse file of `size` bytes with a file system (or `swap`) in it, removed afterwards.

    Raises InputError.
    """
    commands = {"xfs": ["mkfs.xfs", "-q", "-f"], "swap": ["mkswap", "-q", "-L", "swap"]}
    known = file_systems()
    if kind not in (*known, "swap"):
        raise InputError(f"Unsupported file system type: {kind}. Supported types are: {','.join(known)}")
    with temp_dirs.temp_folder(folder) as made:
        path = made / "disk"
        with path.open("wb") as file:
            file.truncate(size)
        command = commands.get(kind, ["mkfs", "-t", kind, "-F", "-q"])
        process.run_program(
            [*command, *known.get(kind, []), str(path)],
            _MKFS_LIMIT_S,
            env={"PATH": "/usr/sbin:/sbin:/usr/bin:/bin"},
        )
        yield path
