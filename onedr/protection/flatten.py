"""Flatten clones in the background: a limited number at once, with progress, within the free space, resumed
after interruptions.

Measured on 16.2.15 (docs/clones.md): flattening continues while a VM starts or runs (its qemu takes over lock
and work), data that was copied already is skipped, a negative result of the progress callback stops it, and a
killed process keeps the lock for 30 s.
"""
from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import rados
import rbd

from onedr.ceph import images, mirroring, space
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.host import log, threads
from onedr.model.errors import OneDRError, StorageError
from onedr.model.types import Settings
from onedr.replication import peer_ceph
from onedr.replication.mirror_image import note_problem, parent_of, protect_image

AT_ONCE = 2  # of one datastore, because copying loads both sites
Progress = Callable[[int, int], int]
Work = Callable[[str, Progress], None]
_STOP_LIMIT_S = 10


class FlattenLock(Protocol):
    """The right to flatten clones of a datastore: one process at a time, so that the limit applies to all."""

    def acquire(self) -> bool:
        """Acquire or renew it. False when another process has it."""

    def release(self) -> None:
        """Release it."""


@dataclass
class _Item:
    reason: str  # shown while it waits: what it waits for, or why the last attempt failed
    state: str = "waiting"  # waiting, running, failed
    percent: int = 0
    cancelled: bool = False  # told to stop

    @property
    def text(self) -> str:
        return f"is being flattened, {self.percent // 10 * 10} %" if self.state == "running" else self.reason


class Queue:
    """The clones to flatten.

    Its owner calls `step` repeatedly. The work is done in threads of the queue.
    """

    def __init__(self, work: Work, exclusive_lock: FlattenLock, at_once: int = AT_ONCE):
        self._work, self._exclusive_lock, self._at_once = work, exclusive_lock, at_once
        self._items: dict[str, _Item] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.done: list[str] = []
        self.finished = 0  # items that finished or failed so far

    def request(self, name: str, reason: str) -> str:
        """Flatten `name` when a thread is free, again if it failed before.

        Returns its state as a sentence.
        """
        with self._lock:
            item = self._items.setdefault(name, _Item(reason))
            if item.state == "failed":
                item.state, item.cancelled = "waiting", False
            return item.text

    def step(self) -> None:
        """Start waiting items as the limit allows. Never blocks for long."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        with self._lock:
            waiting = sum(1 for item in self._items.values() if item.state == "waiting")
        if not waiting and not self._threads:
            self._exclusive_lock.release()
            return
        # also when the lock was lost: running items are completed, no new ones are started
        if not self._exclusive_lock.acquire():
            return
        for _ in range(min(waiting, self._at_once - len(self._threads))):
            self._threads.append(threads.start(self._run_worker))

    def _run_worker(self) -> None:
        while True:
            with self._lock:
                name = next((name for name, item in self._items.items() if item.state == "waiting"), None)
                if name is None:
                    return
                item = self._items[name]
                item.state, item.percent = "running", 0
            problem = self._try(name, item)
            with self._lock:
                self.finished += 1
                if problem:
                    item.state, item.reason = "failed", problem
                    continue
                del self._items[name]
                if problem is None:
                    self.done.append(name)

    def _try(self, name: str, item: _Item) -> str | None:
        """None when done, else why not; empty when the image no longer exists."""
        # called in librbd's thread, so it must not block
        def progress(offset: int, total: int) -> int:
            item.percent = 100 * offset // max(1, total)
            return -errno.ECANCELED if item.cancelled else 0

        try:
            self._work(name, progress)
        except rbd.ImageNotFound:
            return ""
        except OneDRError as error:
            return str(error)
        except (rados.Error, rbd.Error) as error:
            return f"cannot be flattened: Ceph: {error}"
        except Exception as error:  # noqa: BLE001 becomes this item's result; a lost thread would be a lost place
            log.exception(f"flattening {name}")
            return f"cannot be flattened: unexpected {type(error).__name__}: {error}; see {log.path()}"
        return None

    @property
    def busy(self) -> bool:
        """Does any item wait or run?"""
        with self._lock:
            return any(item.state != "failed" for item in self._items.values())

    def running(self) -> dict[str, str]:
        """The clones being flattened, and their progress."""
        with self._lock:
            return {name: item.text for name, item in self._items.items() if item.state == "running"}

    def failed(self) -> dict[str, str]:
        """The clones whose last attempt failed, and why."""
        with self._lock:
            return {name: item.reason for name, item in self._items.items() if item.state == "failed"}

    def end(self, name: str) -> None:
        """Stop the work on one item."""
        with self._lock:
            if name in self._items:
                self._items[name].cancelled = True

    def stop(self) -> None:
        """Stop all work and wait a little, so that no lock is left. Waiting items are dropped."""
        with self._lock:
            for name in [name for name, item in self._items.items() if item.state != "running"]:
                del self._items[name]
            for item in self._items.values():
                item.cancelled = True
        deadline = time.monotonic() + _STOP_LIMIT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._exclusive_lock.release()


def cancel_removed(pool: Pool, queue: Queue) -> None:
    """Stop the work on disks that are being removed, because it holds their lock."""
    for name in queue.running():
        try:
            with pool.image(name, read_only=True) as image:
                if images.is_being_removed(image):
                    queue.end(name)
        except rbd.ImageNotFound:
            continue


class Flattener:
    """The work on one clone: reserve space, flatten, read back, mirror.

    `settings` may be replaced when they change.
    """

    def __init__(self, pool: Pool, settings: Settings):
        self.settings = settings
        self._pool = pool
        self._reserved: dict[str, int] = {}
        self._lock = threading.Lock()

    def __call__(self, name: str, progress: Progress) -> None:
        """Flatten and mirror `name`. Raises OneDRError with the reason that is shown, rbd.Error."""
        try:
            with self._pool.image(name) as image:
                parent = parent_of(image)
                if parent is not None and mirroring.mirror_mode(image) is None:
                    if images.is_being_removed(image):
                        raise OneDRError("is not flattened, because it is being removed")
                    with self._reserved_space(name, image, parent):
                        note_problem(self._pool, name, "is being flattened, 0 %")
                        _flatten(image, progress)
        except OneDRError as error:
            note_problem(self._pool, name, str(error))
            raise
        reason = protect_image(self._pool, name, self.settings)
        if reason:
            raise OneDRError(reason)

    @contextmanager
    def _reserved_space(self, name: str, image: rbd.Image, parent: tuple[str, str, str]) -> Iterator[None]:
        """Both sites must have space for the parent's data.

        Space that is reserved for other clones counts as used.
        """
        need = space.snapshot_bytes(self._pool, parent, int(image.overlap()))
        data_pool = self._pool.cluster.pool_reverse_lookup(image.data_pool_id())
        with self._lock:
            reserved = sum(self._reserved.values())
            shortage = space.shortage(self._pool, data_pool, need + reserved) or self._shortage_at_peer(
                need + reserved
            )
            if shortage:
                raise OneDRError(f"cannot be flattened: {shortage}")
            self._reserved[name] = need
        try:
            yield
        finally:
            with self._lock:
                del self._reserved[name]

    def _shortage_at_peer(self, need: int) -> str | None:
        status = peer_ceph.probe_peer(self._pool, self.settings)
        try:
            with peer_ceph.peer_pool(status, self._pool.access.pool) as (there, _):
                if there is None:
                    return None  # unknown; the peer's rbd-mirror stops when its pool is full
                shortage = space.shortage(there, self._pool.access.pool, need)
        except (OneDRError, rados.Error):
            return None
        return f"at the peer, {shortage}" if shortage else None


def _flatten(image: rbd.Image, progress: Progress) -> None:
    try:
        image.flatten(on_progress=progress)
    except rbd.InvalidArgument:  # another process flattened it first; the read-back decides
        pass
    except rbd.OperationCanceled as error:
        raise OneDRError("waits to be flattened: the last attempt was stopped") from error
    if parent_of(image) is not None:
        raise StorageError(
            f"RBD image {image.get_name()} still has a parent although Ceph flattened it; OneDR will retry."
        )


def flatten_lock(pool: Pool, datastore_id: int) -> FlattenLock:
    """The flatten lock of a datastore."""
    return ExclusiveLock(pool, f"onedr.flatten.{datastore_id}")
