"""Rehearsals of this site, kept in its pool: what came of each VM, when the last turn began, and what a turn
has made and not yet removed.

Omap of the object `onedr.rehearsals`, a datastore's id in each key: `result.<id>.<origin>`, `turn.<id>`,
`begun.<id>.<token>`, and `vm.<id>.<number>`, `image.<id>.<number>` with the token of the turn that made it.
A token is noted before the first object is created, and every object carries it: so a turn that was killed
at any moment leaves nothing that the next one does not find.
"""
from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.ceph.exclusive_lock import ExclusiveLock
from onedr.model import parsing
from onedr.model.json_form import parsed
from onedr.model.rehearsed import Rehearsed, Result

OBJECT = "onedr.rehearsals"
_NO_MOMENT = 1e11  # epoch seconds


@dataclass(frozen=True)
class Made:
    """What turns made and did not report as removed. `tokens`: of turns; numbers of objects by token."""

    tokens: frozenset[str] = frozenset()
    vms: Mapping[int, str] = field(default_factory=dict)
    images: Mapping[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.tokens or self.vms or self.images)


def lock(pool: Pool, datastore_id: int) -> ExclusiveLock:
    """One rehearsal of a datastore at a time, among all front-ends of the site."""
    return ExclusiveLock(pool, f"onedr.rehearsing.{datastore_id}")


def is_free(pool: Pool, datastore_id: int) -> bool:
    """Is no rehearsal of the datastore at work now? Raises rados.Error."""
    taken = lock(pool, datastore_id)
    free = taken.acquire()
    taken.release()
    return free


def results(pool: Pool, datastore_id: int) -> dict[str, Rehearsed]:
    """The last rehearsal of each VM, by origin. One that cannot be read counts as none.

    Raises rados.Error.
    """
    prefix = f"result.{datastore_id}."
    found = {key[len(prefix):]: _read(value) for key, value in omap.read_all(pool, OBJECT, prefix).items()}
    return {origin: rehearsed for origin, rehearsed in found.items() if rehearsed is not None}


def results_of(pool: Pool, fsid: str) -> dict[str, Rehearsed]:
    """The last rehearsal here of each VM of the site of this cluster, by origin, whatever the datastore is
    called here. Raises rados.Error.
    """
    found = (
        (key.split(".", 2)[2], _read(value)) for key, value in omap.read_all(pool, OBJECT, "result.").items()
        if key.count(".") >= 2
    )
    return {
        origin: rehearsed for origin, rehearsed in found
        if rehearsed is not None and origin.startswith(f"{fsid}:")
    }


def _read(value: bytes) -> Rehearsed | None:
    try:
        data = parsed(value)
        found = Rehearsed(
            str(data["origin"]), str(data["name"]), int(data["vm"]), str(data["site"]), float(data["at"]),
            Result(data["result"]), str(data["why"]), tuple(map(str, data["differences"])),
            float(data["seconds"]),
        )
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
    return found if 0 <= found.at < _NO_MOMENT and 0 <= found.seconds < _NO_MOMENT else None


def save(pool: Pool, datastore_id: int, found: Iterable[Rehearsed]) -> None:
    """Keep what came of these VMs; it replaces what came of them before. Raises rados.Error."""
    values = {f"result.{datastore_id}.{one.origin}": json.dumps(asdict(one)).encode() for one in found}
    if values:
        omap.write_keys(pool, OBJECT, values)


def forget(pool: Pool, datastore_id: int, origins: Iterable[str]) -> None:
    """Drop what came of VMs that are not the peer's any more."""
    for origin in origins:
        _drop(pool, f"result.{datastore_id}.{origin}")


def forget_all(pool: Pool, datastore_id: int) -> None:
    """Drop what came of a datastore's VMs, and when its last turn began."""
    forget(pool, datastore_id, results(pool, datastore_id))
    _drop(pool, f"turn.{datastore_id}")


def last_turn(pool: Pool, datastore_id: int) -> float:
    """When the last turn began, epoch seconds; 0 when there was none. Raises rados.Error."""
    key = f"turn.{datastore_id}"
    try:
        return float(omap.read_keys(pool, OBJECT, (key,)).get(key, b"0"))
    except ValueError:
        return 0.0


def begin(pool: Pool, datastore_id: int, now: float) -> str:
    """Note that a turn begins. Returns the token that everything it makes has to carry."""
    token = secrets.token_hex(16)
    omap.write_keys(
        pool, OBJECT, {f"begun.{datastore_id}.{token}": b"1", f"turn.{datastore_id}": f"{now:.3f}".encode()}
    )
    return token


def note(pool: Pool, datastore_id: int, kind: str, number: int, token: str) -> None:
    """Note an object that a turn made; `kind` is `vm` or `image`."""
    omap.write_keys(pool, OBJECT, {f"{kind}.{datastore_id}.{number}": token.encode()})


def made(pool: Pool, datastore_id: int) -> Made:
    """What turns of this datastore made and did not report as removed. Raises rados.Error."""
    prefix = f"begun.{datastore_id}."
    tokens = frozenset(key[len(prefix):] for key in omap.read_all(pool, OBJECT, prefix))
    return Made(tokens, _numbers(pool, f"vm.{datastore_id}."), _numbers(pool, f"image.{datastore_id}."))


def vms_of_all(pool: Pool) -> frozenset[int]:
    """VMs that rehearsals of any datastore of the pool made and did not report as removed."""
    found = omap.read_all(pool, OBJECT, "vm.")
    numbers = (parsing.plain_number(key.rpartition(".")[2]) for key in found)
    return frozenset(number for number in numbers if number is not None)


def _numbers(pool: Pool, prefix: str) -> dict[int, str]:
    found = omap.read_all(pool, OBJECT, prefix)
    return {
        number: value.decode(errors="replace")
        for key, value in found.items() if (number := parsing.plain_number(key[len(prefix):])) is not None
    }


def clear(pool: Pool, datastore_id: int, gone: Made) -> None:
    """Nothing of these is left: drop their notes, the tokens last."""
    for kind, numbers in (("vm", gone.vms), ("image", gone.images)):
        for number in numbers:
            _drop(pool, f"{kind}.{datastore_id}.{number}")
    for token in gone.tokens:
        _drop(pool, f"begun.{datastore_id}.{token}")


def _drop(pool: Pool, key: str) -> None:
    with suppress(rados.ObjectNotFound):
        omap.drop_keys(pool, OBJECT, key)
