"""Flatten clones in the background: so many at once, each seen and bounded by room, begun again when cut
short.

Measured on 16.2.15 (docs/clones.md): flattening goes on through a VM that starts or runs (its qemu takes the
lock and the work), what was copied already is skipped, a negative answer of the progress callback ends it,
and a process that is killed in the midst of it keeps the lock for 30 s.
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
from onedr.model.errors import OneDRError, StorageError
from onedr.model.types import Settings
from onedr.replication import peer_ceph
from onedr.replication.mirror_image import note_problem, parent_of, protect_image
from onedr.replication.peer_ceph import Unreachable

AT_ONCE = 2  # of one datastore: copying loads both sites
Progress = Callable[[int, int], int]
Work = Callable[[str, Progress], None]
_STOP_LIMIT_S = 10


class FlattenLock(Protocol):
    """Who may flatten of a datastore: one process at a time, so that the limit holds for all of them."""

    def acquire(self) -> bool:
        """Take the place, or keep it; False when somebody else has it."""

    def release(self) -> None:
        """Give it back."""


@dataclass
class _Item:
    reason: str  # shown while it waits: what for, or why the last try failed
    state: str = "waiting"  # waiting, running, failed
    percent: int = 0
    cancelled: bool = False  # asked to end

    @property
    def text(self) -> str:
        return f"is being flattened, {self.percent // 10 * 10} %" if self.state == "running" else self.reason


class Queue:
    """What is to be flattened.

    Its owner calls `step` again and again; the work is done in threads of its own.
    """

    def __init__(self, work: Work, exclusive_lock: FlattenLock, at_once: int = AT_ONCE):
        self._work, self._exclusive_lock, self._at_once = work, exclusive_lock, at_once
        self._items: dict[str, _Item] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.done: list[str] = []
        self.finished = 0  # items that ended, well or not, since the beginning

    def request(self, name: str, reason: str) -> str:
        """Flatten `name` when there is a place free, again when it failed before.

        Returns how it stands, as a sentence.
        """
        with self._lock:
            item = self._items.setdefault(name, _Item(reason))
            if item.state == "failed":
                item.state, item.cancelled = "waiting", False
            return item.text

    def step(self) -> None:
        """Begin what may begin. Never blocks for long."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        with self._lock:
            waiting = sum(1 for item in self._items.values() if item.state == "waiting")
        if not waiting and not self._threads:
            self._exclusive_lock.release()
            return
        # also when it was lost meanwhile: what runs is left to end, nothing is begun
        if not self._exclusive_lock.acquire():
            return
        for _ in range(min(waiting, self._at_once - len(self._threads))):
            thread = threading.Thread(target=self._run_worker, daemon=True)
            self._threads.append(thread)
            thread.start()

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
        """None when done, else why not; empty when there is nothing any more to be done on."""
        # called in librbd's thread: it must not wait for anything
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
            return f"cannot be flattened: unexpected {type(error).__name__}: {error}"
        return None

    @property
    def busy(self) -> bool:
        """Is there anything that waits or runs?"""
        with self._lock:
            return any(item.state != "failed" for item in self._items.values())

    def running(self) -> dict[str, str]:
        """What is being flattened now, and how far it is."""
        with self._lock:
            return {name: item.text for name, item in self._items.items() if item.state == "running"}

    def failed(self) -> dict[str, str]:
        """What failed at its last try, and why."""
        with self._lock:
            return {name: item.reason for name, item in self._items.items() if item.state == "failed"}

    def end(self, name: str) -> None:
        """Ask for the end of one item's work."""
        with self._lock:
            if name in self._items:
                self._items[name].cancelled = True

    def stop(self) -> None:
        """End everything and wait a little, so that no lock stays behind; what waits is forgotten."""
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
    """End the work on disks that somebody wants to remove: it holds their lock."""
    for name in queue.running():
        try:
            with pool.image(name, read_only=True) as image:
                if images.is_being_removed(image):
                    queue.end(name)
        except rbd.ImageNotFound:
            continue


class Flattener:
    """The work on one clone: room, flatten, read back, mirror.

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
                        raise OneDRError("is not flattened: it is being removed")
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
        """Both sites must have room for what the parent holds; what others were promised counts as
        used.
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
            with peer_ceph.peer_pool(status, self._pool.access.pool) as there:
                if isinstance(there, Unreachable):
                    return None  # unknown; the peer's rbd-mirror stops when its pool is full
                shortage = space.shortage(there, self._pool.access.pool, need)
        except (OneDRError, rados.Error):
            return None
        return f"at the peer, {shortage}" if shortage else None


def _flatten(image: rbd.Image, progress: Progress) -> None:
    try:
        image.flatten(on_progress=progress)
    except rbd.InvalidArgument:  # somebody else was quicker; the read-back decides
        pass
    except rbd.OperationCanceled as error:
        raise OneDRError("waits to be flattened: the last try was ended in good order") from error
    if parent_of(image) is not None:
        raise StorageError(
            f"RBD image {image.get_name()} still has a parent although Ceph flattened it; OneDR tries again."
        )


def flatten_lock(pool: Pool, datastore_id: int) -> FlattenLock:
    """The place of a datastore."""
    return ExclusiveLock(pool, f"onedr.flatten.{datastore_id}")
