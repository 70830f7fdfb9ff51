"""What runs of this site made of the other site's VMs and images, kept in the pool.

Attributes on OpenNebula objects are a display: their users can write them, so nothing is decided by them.
Omap of the object `onedr.objects`: `vm.<id>` and `image.<id>` of this site's OpenNebula -> what it is. An
entry counts only while the object still has one of the RBD images it was made with: ids restart where a
front-end was set up again. `pending.<what>` is written before an object is created, with a word that the
new object carries: so a run that dies in between finds it again.
"""
from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model import parsing
from onedr.model.json_form import parsed

_OBJECT = "onedr.objects"
_PENDING = "pending."
TOKEN = "DR_RUN_TOKEN"  # on an object that is being created


@dataclass(frozen=True)
class Entry:
    """One object of this site. `origin`: `<cluster id>:<id>` at the site it came from, as in a VM's item."""

    origin: str
    disks: tuple[str, ...]  # RBD names in this pool: of a VM its disks, of an image its source
    finished: bool = False  # False: a run was interrupted before owner and attributes were set
    start_pending: bool = False
    stands_for: str = ""  # of an image: RBD name of what it was at the other site

    @property
    def begun_as(self) -> str:
        """What its creation is noted as: a VM by its origin, an image by the RBD image besides."""
        return f"{self.origin} {self.stands_for}".strip()


@dataclass(frozen=True)
class Ledger:
    """All entries, by OpenNebula id, and the words of creations that were begun, by Entry.begun_as."""

    vms: Mapping[int, Entry]
    images: Mapping[int, Entry]
    pending: Mapping[str, str]

    def vm(self, vm_id: int, disks: Collection[str]) -> Entry | None:
        """What a VM is that has these RBD images; None when no run of ours made it."""
        return _agreeing(self.vms.get(vm_id), disks)

    def image(self, image_id: int, source: str) -> Entry | None:
        """What an image is whose RBD image has this name; None when no run of ours registered it."""
        return _agreeing(self.images.get(image_id), (source,))

    def begun(self, token: str) -> str | None:
        """What the object is that carries this word (Entry.begun_as); None when no run of ours gave it."""
        return next((what for what, known in self.pending.items() if token and known == token), None)


def _agreeing(entry: Entry | None, disks: Collection[str]) -> Entry | None:
    return entry if entry is not None and set(entry.disks) & set(disks) else None


def read_ledger(pool: Pool) -> Ledger:
    """Everything noted in the pool. Raises rados.Error.

    A damaged entry is passed over: its object counts as none of ours, and a run that brings that VM or image
    finds its disks in use.
    """
    vms: dict[int, Entry] = {}
    images: dict[int, Entry] = {}
    pending: dict[str, str] = {}
    for key, value in omap.read_all(pool, _OBJECT).items():
        if key.startswith(_PENDING):
            pending[key[len(_PENDING):]] = value.decode(errors="replace")
            continue
        kind, _, number = key.partition(".")
        entry, object_id = _decoded(key, value), parsing.plain_number(number)
        if entry is not None and kind in ("vm", "image") and object_id is not None:
            {"vm": vms, "image": images}[kind][object_id] = entry
    return Ledger(vms, images, pending)


def _decoded(key: str, value: bytes) -> Entry | None:
    """An entry; None, and a warning in the log, for one that is damaged."""
    try:
        found = parsed(value)
        disks = found["disks"]
        if not isinstance(disks, list):
            raise ValueError("disks are no list")
        return Entry(
            str(found["origin"]), tuple(map(str, disks)), found.get("finished") is True,
            found.get("start_pending") is True, str(found.get("stands_for", "")),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        log.warning(f"{key} of {_OBJECT} is damaged and passed over: {error!r}")
        return None


def begin(pool: Pool, what: str) -> str:
    """Note that `what` (Entry.begun_as) is about to be created. Returns the word it has to carry (TOKEN)."""
    known = omap.read_keys(pool, _OBJECT, (f"{_PENDING}{what}",)).get(f"{_PENDING}{what}")
    token = known.decode() if known else secrets.token_hex(16)
    omap.write_keys(pool, _OBJECT, {f"{_PENDING}{what}": token.encode()})
    return token


def note(pool: Pool, kind: str, object_id: int, entry: Entry) -> None:
    """Note what an object is; `kind` is `vm` or `image`. Its creation has ended with that."""
    omap.write_keys(pool, _OBJECT, {f"{kind}.{object_id}": json.dumps(asdict(entry)).encode()})
    omap.drop_keys(pool, _OBJECT, f"{_PENDING}{entry.begun_as}")


def change(pool: Pool, kind: str, object_id: int, **changes: Any) -> None:
    """Change `finished` or `start_pending` of an object that is noted; nothing where it is not."""
    key = f"{kind}.{object_id}"
    value = omap.read_keys(pool, _OBJECT, (key,)).get(key)
    entry = _decoded(key, value) if value else None
    if entry is not None:
        omap.write_keys(pool, _OBJECT, {key: json.dumps(asdict(replace(entry, **changes))).encode()})


def read_entry(pool: Pool, kind: str, object_id: int, disks: Collection[str]) -> Entry | None:
    """The entry of one object that has these RBD images; None when there is none that agrees."""
    key = f"{kind}.{object_id}"
    value = omap.read_keys(pool, _OBJECT, (key,)).get(key)
    return _agreeing(_decoded(key, value), disks) if value else None


def is_kept(pool: Pool) -> bool:
    """Was a ledger ever written in this pool? Where not, objects of earlier releases are to be taken over."""
    try:
        pool.io.stat(_OBJECT)
    except rados.ObjectNotFound:
        return False
    return True


def keep(pool: Pool) -> None:
    """Begin the ledger of a pool; one that is there stays as it is."""
    with rados.WriteOpCtx() as operation:
        operation.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
        pool.io.operate_write_op(operation, _OBJECT)
