"""Who holds an RBD image: lockers and watchers. Asked before an image is removed or written over."""
from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import rados
import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.host import process
from onedr.host.waiting import attempts
from onedr.model.errors import OneDRError, StorageError
from onedr.model.text import Sentence
from onedr.model.types import OWN_GROUPS

# more than Ceph goes on counting a dead client among the watchers (osd_client_watch_timeout, 30 s)
LIMIT_S = 45
_PAUSE_S = 0.2
_AUTOMATIC = "internal"  # tag of the lock that librbd takes by itself; `rbd lock add` sets none
_LIST_LIMIT_S = 20
_LOOK_LIMIT_S = 3
_LOCK = "lock.rbd_lock"


def manual_locks(lockers: Mapping[str, Any]) -> list[str]:
    """What `rbd lock add` left, as words: it stays until `rbd lock rm`, whoever lives.
    `lockers`: as librbd lists them.
    """
    if lockers.get("tag") == _AUTOMATIC:
        return []
    return sorted(f"{cookie} ({client}, {address})" for client, cookie, address in lockers.get("lockers", []))


def break_command(where: str, cookie: str, client: str) -> str:
    """What to type to remove a lock of `rbd lock add`; `where`: pool/image."""
    return shlex.join(["rbd", "lock", "rm", where, cookie, client])


def locked_by_hand(pool: Pool, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Those of the images that `rbd lock add` left locked: the first lock's cookie and client.

    The lock is an attribute of the image's header, so only images that have another than librbd's own are
    opened. Raises rbd.Error, rados.Error, OneDRError.
    """
    ids = {str(entry["name"]): str(entry["id"]) for entry in pool.rbd.list2(pool.io)}
    wanted = [name for name in names if name in ids]
    found = parallel.each(wanted, lambda name: _manual_lock(pool, name, ids[name]), _LOOK_LIMIT_S)
    locks = {}
    for name, lock in found.items():
        if isinstance(lock, OneDRError):
            raise lock
        if lock is not None:
            locks[name] = lock
    return locks


def _manual_lock(pool: Pool, name: str, image_id: str) -> tuple[str, str] | None:
    try:
        lock = bytes(pool.io.get_xattr(f"rbd_header.{image_id}", _LOCK))
    except (rados.NoData, rados.ObjectNotFound):
        return None
    if lock.endswith(_AUTOMATIC.encode()):  # cls_lock_types.h: the tag is the last field
        return None
    with pool.image(name, read_only=True) as image:
        held = (image.list_lockers() or {}).get("lockers", [])
    return next(((str(cookie), str(client)) for client, cookie, _ in held), None)


def users(
    lockers: Mapping[str, Any], watchers: Iterable[str], mirrors: Callable[[], set[str]]
) -> list[str]:
    """Clients that use an image, as words. `watchers`: addresses; `mirrors` finds those of rbd-mirror.

    A writer holds the lock and watches; a guest that has not written yet, or a mapped disk, only watches. A
    dead writer only holds the lock, and does not count.
    """
    watching = set(watchers)
    owners = {str(address): str(client) for client, _, address in lockers.get("lockers", [])}
    writing = [f"locked by {owners[address]} ({address})" for address in watching if address in owners]
    others = watching - set(owners)
    if others:
        others -= mirrors()
    return sorted([*writing, *(f"watched by {address}" for address in others)])


def refuse_manual_lock(pool: Pool, name: str) -> None:
    """Raise StorageError that names who locked the image with `rbd lock add`. Raises rbd.ImageNotFound."""
    with pool.image(name, read_only=True) as image:
        _refuse_lock(image, f"{pool.access.pool}/{name}")


def refuse_removal(pool: Pool, name: str) -> None:
    """The same, and for a member of an RBD group that is not OneDR's: Ceph would refuse its removal only
    after its mirroring had ended.
    """
    where = f"{pool.access.pool}/{name}"
    with pool.image(name, read_only=True) as image:
        _refuse_lock(image, where)
        group = str(image.group().get("name") or "")
    if group and not group.startswith(OWN_GROUPS):
        command = shlex.join(["rbd", "group", "image", "rm", f"{pool.access.pool}/{group}", where])
        raise StorageError(Sentence(
            f"RBD image {where} is a member of RBD group {group}; nothing was changed. Take it out of that "
            f"group first: {command}."
        ))


def _refuse_lock(image: rbd.Image, where: str) -> None:
    lockers = image.list_lockers() or {}
    found = manual_locks(lockers)
    if found:
        client, cookie, _ = lockers["lockers"][0]
        raise StorageError(Sentence(
            f"RBD image {where} is locked by {', '.join(found)}; nothing was changed. When it is no longer "
            f"used there, remove the lock: {break_command(where, str(cookie), str(client))}."
        ))


def wait_until_no_writer(pool: Pool, name: str) -> None:
    """Raise StorageError while a client writes to the image, after LIMIT_S, or locked it by hand."""
    refuse_manual_lock(pool, name)
    retry_while_busy(lambda: _check(pool, name, only_writers=True), f"{pool.access.pool}/{name}", LIMIT_S)


def wait_until_unused(pool: Pool, name: str, limit_s: float) -> None:
    """Raise StorageError that names who still holds the image after `limit_s`:
    a lock, or a watcher that is no rbd-mirror.
    """
    refuse_manual_lock(pool, name)
    retry_while_busy(lambda: _check(pool, name, only_writers=False), f"{pool.access.pool}/{name}", limit_s)


def _check(pool: Pool, name: str, only_writers: bool) -> None:
    with pool.image(name, read_only=True) as image:
        watchers = {str(watcher["addr"]) for watcher in image.watchers_list()}

        def passing() -> set[str]:
            if only_writers:
                return watchers
            return _mirror_addresses(pool) if mirroring.mirror_mode(image) is not None else set()

        found = users(image.list_lockers() or {}, watchers, passing)
    if found:
        raise rbd.ImageBusy(", ".join(found))


def _mirror_addresses(pool: Pool) -> set[str]:
    """Addresses of both sites' rbd-mirror: nothing else watches `rbd_mirroring`.

    Ceph: src/tools/rbd_mirror/PoolWatcher.cc. Neither librados' C interface nor python3-rados lists watchers
    of an object, so this is the `rados` program.
    """
    access = pool.access
    options = {"--conf": access.conf, "--id": access.user, "--keyfile": access.keyfile, "--pool": access.pool}
    given = [word for option, value in options.items() if value for word in (option, value)]
    argv = ["rados", *given, "listwatchers", "rbd_mirroring"]
    return mirror_watchers(process.run_program(argv, _LIST_LIMIT_S))


def mirror_watchers(listed: str) -> set[str]:
    """The addresses in what `rados listwatchers` prints, a line `watcher=ADDRESS client.N cookie=N` each."""
    return set(re.findall(r"^watcher=(\S+)", listed, re.MULTILINE))


def retry_while_busy(action: Callable[[], None], what: str, limit_s: float) -> None:
    """Do it until Ceph no longer says that the image is in use. Raises StorageError after `limit_s`."""
    for last in attempts(limit_s, _PAUSE_S):
        try:
            action()
            return
        except (rbd.ImageBusy, rbd.ImageHasSnapshots) as error:
            if last:
                raise StorageError(Sentence(
                    f"RBD image {what} is still in use after {limit_s:g} s ({error}); is a VM using it?"
                )) from error
