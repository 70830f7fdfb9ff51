"""Notes in the pool about snapshots of an image that are being made or listed. They are of this site alone.

`onedr.snapshots`: an omap of `<image>@<snapshot>` -> for which disk, while a driver makes it. So a repeated
call replaces what a killed one left, and never a snapshot that holds data.

`onedr.listing.<image>`: exists while a run writes OpenNebula's list of an image's snapshots. oned can only
list a snapshot by making it (docs/opennebula-facts.md O34): the next action is noted here, and the driver
answers it without touching the image. A RADOS lock with a duration says whether that run is alive: its end is
the OSD's word, no clock of ours.
"""
from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host.waiting import attempts
from onedr.model.errors import RefusedError, StorageError

_MAKING = "onedr.snapshots"
_LISTING = "onedr.listing."
_LOCK, _EXPECTED = "onedr.listing", "expected"
_HELD_S = 600  # after the last action of a run that died: oned may still call the driver for it
_CALLED_S = 60
_PAUSE_S = 0.05
_MAY_RENEW = 1  # LIBRADOS_LOCK_FLAG_MAY_RENEW


class Action(NamedTuple):
    """An action of oned on a snapshot of a VM's disk. `verb`: create, delete or revert."""

    verb: str
    vm_id: int
    snapshot: str


def begin_making(pool: Pool, name: str, snapshot: str, disk: str) -> None:
    """Note that a snapshot is about to be made for a disk."""
    omap.write_keys(pool, _MAKING, {f"{name}@{snapshot}": disk.encode()})


def is_half_made(pool: Pool, name: str, snapshot: str, disk: str) -> bool:
    """Did a killed call begin to make this snapshot for the same disk?"""
    key = f"{name}@{snapshot}"
    return omap.read_keys(pool, _MAKING, (key,)).get(key) == disk.encode()


def end_making(pool: Pool, name: str, snapshot: str) -> None:
    """The snapshot is made, or given up."""
    omap.drop_keys(pool, _MAKING, f"{name}@{snapshot}")


class Listing:
    """The list of an image's snapshots is being written."""

    def __init__(self, pool: Pool, name: str):
        self._pool, self._object = pool, f"{_LISTING}{name}"
        self.cookie = secrets.token_hex(8)

    def hold(self) -> None:
        """Begin, or go on for another while. Raises rados.ObjectBusy while another run does it."""
        flags = _MAY_RENEW
        self._pool.io.lock_exclusive(self._object, _LOCK, self.cookie, "OneDR", _HELD_S, flags)

    def expect(self, action: Action) -> None:
        """The next action on a snapshot of this image is this one, and changes the list only."""
        self.hold()
        omap.write_keys(self._pool, self._object, {_EXPECTED: json.dumps(action).encode()})

    def withdraw(self) -> None:
        """The expected action will not come."""
        omap.drop_keys(self._pool, self._object, _EXPECTED)

    def done(self) -> None:
        """Wait until the driver was called for the expected action. Raises StorageError."""
        for last in attempts(_CALLED_S, _PAUSE_S):
            if not self.is_pending():
                return
            if last:
                raise StorageError(f"oned has not called the driver within {_CALLED_S} s")

    def is_pending(self) -> bool:
        """Was the driver not yet called for the expected action?"""
        return bool(omap.read_keys(self._pool, self._object, (_EXPECTED,)))

    def end(self) -> None:
        """Actions are actions again."""
        with suppress(rados.ObjectNotFound):
            self._pool.io.remove_object(self._object)


@contextmanager
def listing(pool: Pool, name: str, alone: bool = False) -> Iterator[Listing]:
    """Write the list of an image's snapshots in this block; every action that is not expected is refused.

    `alone`: the caller has the run's lease, so whoever began is dead. Else raises RefusedError while another
    run does so.
    """
    found = Listing(pool, name)
    if alone:
        found.end()
    try:
        found.hold()
    except rados.ObjectBusy as error:
        raise RefusedError(
            f"The snapshots of {name} are being listed by another run; repeat later."
        ) from error
    try:
        yield found
    except BaseException:
        if not found.is_pending():  # else the driver may be called yet, and must leave the image alone
            found.end()
        raise
    found.end()


def is_expected(pool: Pool, name: str, action: Action) -> bool:
    """Is this action of oned one that only changes its list? Each is expected once.

    Raises RefusedError for any other while the list is being written.
    """
    where = f"{_LISTING}{name}"
    try:
        pool.io.stat(where)
    except rados.ObjectNotFound:
        return False
    try:
        pool.io.lock_exclusive(where, _LOCK, secrets.token_hex(8), "OneDR", _HELD_S)
    except rados.ObjectBusy:
        pass
    else:  # the run that wrote it died
        Listing(pool, name).end()
        return False
    if omap.read_keys(pool, where, (_EXPECTED,)).get(_EXPECTED) != json.dumps(action).encode():
        raise RefusedError(
            f"OneDR is writing the list of snapshots of {pool.access.pool}/{name}; nothing was changed. Try "
            "again when the run has ended (onedr status); after one that died, onedr resume, or in ten "
            "minutes."
        )
    omap.drop_keys(pool, where, _EXPECTED)
    return True
