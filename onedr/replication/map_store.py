"""The mapping of a datastore in the pools of both sites, in versions (docs/mapping.md).

Omap of the object `onedr.map`: `<datastore>/<version>` -> JSON, signed as records are. A version is never
written again, so a set is one write: it is there whole, or not at all. `<datastore>/handed` is the newest
version that this site saw in the peer's pool.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.host.paths import front_end_paths
from onedr.model import site_map
from onedr.model.errors import RecordError, StorageError
from onedr.model.json_form import Json, parsed
from onedr.model.records import Proof
from onedr.model.site_map import Direction, SiteMap
from onedr.model.types import Settings
from onedr.replication import encryption, signature
from onedr.replication.signature import Signer

OBJECT = "onedr.map"
KIND = "onedr.map"  # of the signature
IMAGE = "mapping"  # stands for the image in the signature: both sites have it, and no image is called so
KEPT = 20  # versions
_HANDED = "handed"
_SCHEMA = 1
_MAX_BYTES = 1024 * 1024
_NUMBER = re.compile("[0-9]{1,8}")


@dataclass(frozen=True)
class Version:
    """One version. `text`: the file as it was given; `changes`: the lines that differ from the version
    before.
    """

    number: int
    at: float  # seconds since the epoch, clock of the site where it was set
    by: str
    site: str
    text: str
    site_map: SiteMap
    datastores: tuple[str, ...]  # its names at both sites
    changes: tuple[str, ...] = ()
    doubt: str = ""  # why it is not used; no part of what is stored
    raw: bytes = field(default=b"", compare=False, repr=False)  # as it was read: handed on with its signature


@dataclass(frozen=True)
class Stored:
    """What a pool holds. `versions`: oldest first, those not in doubt; `doubts`: of those passed over."""

    versions: tuple[Version, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def newest(self) -> Version | None:
        """The version in force; None when there is none."""
        return self.versions[-1] if self.versions else None


def name_there(datastore: str, settings: Settings) -> str:
    """Name of the datastore at the peer."""
    return settings.peer_datastore or datastore


def read(pool: Pool, datastore: str) -> Stored:
    """The versions in a pool. Raises rados.Error."""
    versions, doubts = [], []
    for key, value in omap.read_all(pool, OBJECT, f"{datastore}/").items():
        number = key[len(datastore) + 1 :]
        if not _NUMBER.fullmatch(number):
            continue
        found = _decoded(datastore, number, value)
        if found.doubt:
            doubts.append(f"version {int(number)} of the mapping is passed over: {found.doubt}")
        else:
            versions.append(found)
    return Stored(tuple(sorted(versions, key=lambda each: (each.number, each.at))), tuple(doubts))


def newest(pool: Pool, datastore: str, settings: Settings, peer: Pool | None = None) -> Stored:
    """What is in force at this site: of both pools, where the peer's can be read, the one with the newest
    version.

    Raises rados.Error when this site's pool cannot be read, StorageError when it holds only versions in
    doubt.
    """
    own = read(pool, datastore)
    try:
        theirs = read(peer, name_there(datastore, settings)) if peer is not None else Stored()
    except rados.Error:
        theirs = Stored()
    best = max((own, theirs), key=_rank)
    if best.newest is None and (own.doubts or theirs.doubts):
        raise StorageError(
            f"The mapping of datastore {datastore} is not used: {'; '.join(own.doubts or theirs.doubts)}. "
            f"Set it again with onedr map {datastore} --set FILE."
        )
    return replace(best, doubts=tuple(dict.fromkeys((*own.doubts, *theirs.doubts))))


def _rank(stored: Stored) -> tuple[int, float]:
    return (stored.newest.number, stored.newest.at) if stored.newest is not None else (0, 0.0)


def direction(stored: Stored, pool: Pool, settings: Settings) -> Direction | None:
    """The mapping in force towards this site; None when there is none. Raises InputError for other sites'
    one.
    """
    found = stored.newest
    return found.site_map.towards(site_name(pool, settings)) if found is not None else None


def site_name(pool: Pool, settings: Settings) -> str:
    """Name of this site in mappings and records."""
    return settings.site or pool.fsid()[:8]


def write(pool: Pool, datastore: str, version: Version) -> None:
    """Store a version, read it back, and drop the oldest ones. Raises rados.Error, StorageError."""
    key = f"{datastore}/{version.number:08d}"
    value = version.raw or _encoded(version)
    if len(value) > _MAX_BYTES:
        raise StorageError(
            "The mapping is too large to be stored; leave out what has the same name at both sites."
        )
    omap.write_keys(pool, OBJECT, {key: value})
    if omap.read_keys(pool, OBJECT, (key,)).get(key) != value:
        raise StorageError(
            f"Version {version.number} of the mapping was written and does not read back; ceph -s"
        )
    for old in _version_keys(pool, datastore)[:-KEPT]:
        omap.drop_keys(pool, OBJECT, old)


def highest(pool: Pool, datastore: str) -> int:
    """The highest number of a version in a pool, in doubt or not; 0: there is none. Raises rados.Error."""
    return max((int(key.rpartition("/")[2]) for key in _version_keys(pool, datastore)), default=0)


def note_handed(pool: Pool, datastore: str, number: int) -> None:
    """Note that the peer's pool holds this version. Raises rados.Error."""
    omap.write_keys(pool, OBJECT, {f"{datastore}/{_HANDED}": str(number).encode()})


def to_hand_on(pool: Pool, datastore: str) -> bool:
    """Is there a version that the peer's pool was not seen to hold? Raises rados.Error."""
    handed = omap.read_keys(pool, OBJECT, (f"{datastore}/{_HANDED}",)).get(f"{datastore}/{_HANDED}", b"0")
    return highest(pool, datastore) > (int(handed) if handed.isdigit() else 0)


def hand_on(pool: Pool, peer: Pool, datastore: str, settings: Settings) -> bool:
    """Bring the newest version of either pool to the other. Returns whether one was written. Raises
    rados.Error.
    """
    there = name_there(datastore, settings)
    own, theirs = read(pool, datastore), read(peer, there)
    if own.newest is None and theirs.newest is None:
        return False
    wrote = _rank(own) != _rank(theirs)
    if _rank(own) > _rank(theirs) and own.newest is not None:
        write(peer, there, own.newest)
    elif wrote and theirs.newest is not None:
        write(pool, datastore, theirs.newest)
    note_handed(pool, datastore, max(_rank(own), _rank(theirs))[0])
    return wrote


def _version_keys(pool: Pool, datastore: str) -> list[str]:
    """Keys of the versions, oldest first."""
    keys = omap.list_keys(pool, OBJECT, f"{datastore}/")
    return [key for key in keys if _NUMBER.fullmatch(key[len(datastore) + 1 :])]


def forget(pool: Pool, datastore: str) -> None:
    """Remove all versions of a datastore's mapping from a pool. Raises rados.Error."""
    for key in omap.list_keys(pool, OBJECT, f"{datastore}/"):
        omap.drop_keys(pool, OBJECT, key)


def _head(version: Version) -> Json:
    return {
        "schema": _SCHEMA,
        "version": version.number,
        "generation": int(version.at * 1e6),
        "at": version.at,
        "by": version.by,
        "site": version.site,
        "text": version.text,
        "map": site_map.to_json(version.site_map),
        "changes": list(version.changes),
        "datastores": list(version.datastores),
    }


def _encoded(version: Version) -> bytes:
    head = _head(version)
    key = encryption.load_key(front_end_paths().record_key)
    by = _signer(key)
    return json.dumps({**head, signature.FIELD: signature.sign(by, KIND, head)} if by else head).encode()


def _signer(key: encryption.RecordKey | None) -> Signer | None:
    return signature.signer_of(key, "", IMAGE)


def _decoded(datastore: str, number: str, value: bytes) -> Version:
    try:
        head: Mapping[str, Any] = parsed(value)
        if head["schema"] != _SCHEMA:
            return _doubtful(number, f"it has schema {head['schema']}, of a newer release")
        proof = signature.proof(_signer(_own_key()), KIND, head)
        if proof in (Proof.UNSIGNED, Proof.FORGED):
            return _doubtful(
                number, f"it is {proof.value}: it was not written with the record key of this site"
            )
        if head["version"] != int(number) or datastore not in head["datastores"]:
            return _doubtful(number, "it was written as another version, or for another datastore")
        return Version(
            int(number),
            float(head["at"]),
            str(head["by"]),
            str(head["site"]),
            str(head["text"]),
            site_map.from_json(head["map"]),
            tuple(map(str, head["datastores"])),
            tuple(map(str, head["changes"])),
            raw=value,
        )
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        return _doubtful(number, f"it is damaged ({type(error).__name__})")


def _own_key() -> encryption.RecordKey | None:
    try:
        return encryption.load_key(front_end_paths().record_key)
    except RecordError as error:
        raise StorageError(f"The mapping cannot be checked: {error}") from error


def _doubtful(number: str, why: str) -> Version:
    return Version(int(number), 0.0, "", "", "", SiteMap(("", "")), (), doubt=why)
