"""Documents of a datastore in the pools of both sites, in versions: mappings, recovery plans.

Omap of one object for each kind: `<owner>/<version>` -> JSON, signed as records are. A version is never
written again, so a set is one write: it is there whole, or not at all. `<owner>/handed` is the newest
version that this site saw in the peer's pool. The owner is the datastore's name, of a recovery plan with
the plan's name behind it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model.errors import RecordError, StorageError
from onedr.model.json_form import Json, parsed
from onedr.model.records import Proof
from onedr.model.types import Settings
from onedr.replication import encryption, signature
from onedr.replication.signature import Signer

KEPT = 20  # versions
_HANDED = "handed"
_SCHEMA = 1
_MAX_BYTES = 1024 * 1024
_NUMBER = re.compile("[0-9]{1,8}")
Body = TypeVar("Body")


@dataclass(frozen=True)
class Version(Generic[Body]):
    """One version. `text`: the file as it was given; `changes`: the lines that differ from the version
    before.
    """

    number: int
    at: float  # seconds since the epoch, clock of the site where it was set
    by: str
    site: str
    text: str
    body: Body
    owners: tuple[str, ...]  # its names at both sites
    changes: tuple[str, ...] = ()
    raw: bytes = field(default=b"", compare=False, repr=False)  # as it was read: handed on with its signature


@dataclass(frozen=True)
class Stored(Generic[Body]):
    """What a pool holds. `versions`: oldest first, those not in doubt; `doubts`: of those passed over."""

    versions: tuple[Version[Body], ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def newest(self) -> Version[Body] | None:
        """The version in force; None when there is none."""
        return self.versions[-1] if self.versions else None

    @property
    def rank(self) -> tuple[int, float]:
        """Of two pools the one of the higher rank holds what is in force."""
        return (self.newest.number, self.newest.at) if self.newest is not None else (0, 0.0)


def name_there(datastore: str, settings: Settings) -> str:
    """Name of the datastore at the peer."""
    return settings.peer_datastore or datastore


def site_name(pool: Pool, settings: Settings) -> str:
    """Name of this site in mappings and records."""
    return settings.site or pool.fsid()[:8]


@dataclass(frozen=True)
class Documents(Generic[Body]):
    """All documents of one kind. `object`: of the pool; `kind`: of the signature; `image`: stands for the
    image in it: both sites have it, and no image is called so. `called`: for people; `body`: its key in the
    JSON; `too_large`: what to do then; `set_again`: the command, of an owner.
    """

    object: str
    kind: str
    image: str
    called: str
    body: str
    too_large: str
    set_again: Callable[[str], str]
    to_json: Callable[[Body], Json]
    from_json: Callable[[Mapping[str, Any]], Body]

    def read(self, pool: Pool, owner: str) -> Stored[Body]:
        """The versions in a pool. Raises rados.Error, StorageError when the record key cannot be read."""
        versions, doubts = [], []
        for key, value in omap.read_all(pool, self.object, f"{owner}/").items():
            number = key[len(owner) + 1 :]
            if not _NUMBER.fullmatch(number):
                continue
            found = self._decoded(owner, number, value)
            if isinstance(found, str):
                doubts.append(f"version {int(number)} of the {self.called} is passed over: {found}")
            else:
                versions.append(found)
        return Stored(tuple(sorted(versions, key=lambda each: (each.number, each.at))), tuple(doubts))

    def newest(self, pool: Pool, owner: str, there: str, peer: Pool | None = None) -> Stored[Body]:
        """What is in force at this site: of both pools, where the peer's can be read, the one with the newest
        version. `there`: its owner at the peer.

        Raises rados.Error when this site's pool cannot be read, StorageError when it holds only versions in
        doubt.
        """
        own = self.read(pool, owner)
        try:
            theirs = self.read(peer, there) if peer is not None else Stored[Body]()
        except rados.Error:
            theirs = Stored[Body]()
        best = max((own, theirs), key=lambda stored: stored.rank)
        if best.newest is None and (own.doubts or theirs.doubts):
            raise StorageError(
                f"The {self.called} of {owner} is not used: {'; '.join(own.doubts or theirs.doubts)}. "
                f"Set it again with {self.set_again(owner)}."
            )
        return replace(best, doubts=tuple(dict.fromkeys((*own.doubts, *theirs.doubts))))

    def write(self, pool: Pool, owner: str, version: Version[Body]) -> None:
        """Store a version, read it back, and drop the oldest ones. Raises rados.Error, StorageError."""
        key = f"{owner}/{version.number:08d}"
        value = version.raw or self._encoded(version)
        if len(value) > _MAX_BYTES:
            raise StorageError(f"The {self.called} is too large to be stored; {self.too_large}.")
        omap.write_keys(pool, self.object, {key: value})
        if omap.read_keys(pool, self.object, (key,)).get(key) != value:
            raise StorageError(
                f"Version {version.number} of the {self.called} was written and does not read back; ceph -s"
            )
        for old in self._version_keys(pool, owner)[:-KEPT]:
            omap.drop_keys(pool, self.object, old)

    def highest(self, pool: Pool, owner: str) -> int:
        """The highest number of a version in a pool, in doubt or not; 0: there is none. Raises rados.Error.
        """
        return max((int(key.rpartition("/")[2]) for key in self._version_keys(pool, owner)), default=0)

    def note_handed(self, pool: Pool, owner: str, number: int) -> None:
        """Note that the peer's pool holds this version. Raises rados.Error."""
        omap.write_keys(pool, self.object, {f"{owner}/{_HANDED}": str(number).encode()})

    def to_hand_on(self, pool: Pool, owner: str) -> bool:
        """Is there a version that the peer's pool was not seen to hold? Raises rados.Error."""
        key = f"{owner}/{_HANDED}"
        handed = omap.read_keys(pool, self.object, (key,)).get(key, b"0")
        return self.highest(pool, owner) > (int(handed) if handed.isdigit() else 0)

    def hand_on(self, pool: Pool, peer: Pool, owner: str, there: str) -> bool:
        """Bring the newest version of either pool to the other. Returns whether one was written. Raises
        rados.Error.
        """
        own, theirs = self.read(pool, owner), self.read(peer, there)
        if own.newest is None and theirs.newest is None:
            return False
        wrote = own.rank != theirs.rank
        if own.rank > theirs.rank and own.newest is not None:
            self.write(peer, there, own.newest)
        elif wrote and theirs.newest is not None:
            self.write(pool, owner, theirs.newest)
        self.note_handed(pool, owner, max(own.rank, theirs.rank)[0])
        return wrote

    def forget(self, pool: Pool, owner: str) -> None:
        """Remove all versions of an owner, and of the owners below it, from a pool. Raises rados.Error."""
        for key in omap.list_keys(pool, self.object, f"{owner}/"):
            omap.drop_keys(pool, self.object, key)

    def _version_keys(self, pool: Pool, owner: str) -> list[str]:
        """Keys of the versions, oldest first."""
        keys = omap.list_keys(pool, self.object, f"{owner}/")
        return [key for key in keys if _NUMBER.fullmatch(key[len(owner) + 1 :])]

    def _encoded(self, version: Version[Body]) -> bytes:
        head: Json = {
            "schema": _SCHEMA, "version": version.number, "generation": int(version.at * 1e6),
            "at": version.at, "by": version.by, "site": version.site, "text": version.text,
            self.body: self.to_json(version.body), "changes": list(version.changes),
            "datastores": list(version.owners),
        }
        by = self._signer(encryption.load_key(front_end_paths().record_key))
        signed = {**head, signature.FIELD: signature.sign(by, self.kind, head)} if by else head
        return json.dumps(signed).encode()

    def _signer(self, key: encryption.RecordKey | None) -> Signer | None:
        return signature.signer_of(key, "", self.image)

    def _decoded(self, owner: str, number: str, value: bytes) -> Version[Body] | str:
        """The version, or why it is in doubt."""
        try:
            head: Mapping[str, Any] = parsed(value)
            if head["schema"] != _SCHEMA:
                return f"it has schema {head['schema']}, of a newer release"
            proof = signature.proof(self._signer(self._own_key()), self.kind, head)
            if proof in (Proof.UNSIGNED, Proof.FORGED):
                return f"it is {proof.value}: it was not written with the record key of this site"
            if head["version"] != int(number) or owner not in head["datastores"]:
                return "it was written as another version, or for another datastore"
            return Version(
                int(number), float(head["at"]), str(head["by"]), str(head["site"]), str(head["text"]),
                self.from_json(head[self.body]), tuple(map(str, head["datastores"])),
                tuple(map(str, head["changes"])), raw=value,
            )
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            return f"it is damaged ({type(error).__name__})"

    def _own_key(self) -> encryption.RecordKey | None:
        try:
            return encryption.load_key(front_end_paths().record_key)
        except RecordError as error:
            raise StorageError(f"The {self.called} cannot be checked: {error}") from error
