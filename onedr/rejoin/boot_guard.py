"""The guard before oned runs: which datastores there are is kept in a file, as oned cannot be asked yet.

`guard.json` in OneDR's state folder has what is needed to reach Ceph and the peer: attributes of the
datastores, no secret (CEPH_KEY is a path). The keeper keeps it true.
"""
from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rados
import rbd

from onedr.ceph import connection
from onedr.host import bridge, trusted_folder
from onedr.host.atomic_file import write_atomically
from onedr.host.paths import front_end_paths
from onedr.model import settings, template
from onedr.model.errors import FrontEndError, InputError, OneDRError
from onedr.model.template import Pairs
from onedr.model.types import DRIVER
from onedr.opennebula import datastores as opennebula_datastores
from onedr.opennebula.api import FrontEnd, attributes
from onedr.opennebula.ceph_access import ceph_access
from onedr.opennebula.datastores import Datastore
from onedr.rejoin import guard
from onedr.rejoin.guard import Guarded
from onedr.replication.split_brain import Claim

ACCEPTED_S = 900  # how long an operator's word holds: until oned is started
_PLAIN = ("POOL_NAME", "CEPH_USER", "CEPH_CONF", "CEPH_KEY", "EC_POOL_NAME", "BRIDGE_LIST")
_CEPH_LIMIT_S = 10
_PAUSE_S, _BUSY_S = 5, 60


@dataclass(frozen=True)
class Answer:
    """Of one datastore: may oned start as far as it is concerned, in one sentence why,
    and what was found (None: no Ceph).
    """

    datastore: str
    free: bool
    message: str
    found: Guarded | None = None


def remember(frontend: FrontEnd) -> None:
    """Rewrite the list when it changed. On a bridge host there is none.

    A datastore whose attributes were spoilt or lost since stays as it was: it is guarded until its drivers
    are stock again.
    """
    if bridge.bridge_session() is not None:
        return
    path, ours = _list(), opennebula_datastores.all_of(frontend)
    try:
        before = _read(path)
    except InputError:
        before = {}
    wanted: dict[str, dict[str, object]] = {}
    for element in frontend.datastores():
        number, pairs = str(element.findtext("ID")), attributes(element)
        if int(number) in ours:
            wanted[number] = {"name": element.findtext("NAME"), "attributes": _needed(pairs)}
        elif (
            number in before
            and element.findtext("DS_MAD") == DRIVER
            and template.get(pairs, "DR_PROTECT", "YES") == "YES"
        ):
            wanted[number] = before[number]
    if wanted != before or not path.exists():
        _write(path, wanted)


def _needed(pairs: Pairs) -> list[list[str]]:
    return [
        [key, value]
        for key, value in pairs
        if isinstance(value, str) and (key in _PLAIN or key in settings.KEYS)
    ]


def _list() -> Path:
    return front_end_paths().state / "guard.json"


def _accepted() -> Path:
    return front_end_paths().state / "guard-accepted.json"


def _read(path: Path) -> dict[str, dict[str, object]]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read ({error}). Remove it; the keeper rewrites it once oned runs."
        ) from error


def _write(path: Path, values: object) -> None:
    trusted_folder.make_folders(path.parent)
    write_atomically(path, json.dumps(values).encode(), 0o644)


def datastores() -> list[Datastore]:
    """From the file. Raises InputError when it is damaged."""
    found = []
    for number, entry in _read(_list()).items():
        try:
            name = str(entry["name"])
            pairs = tuple((str(key), str(value)) for key, value in entry["attributes"])  # type: ignore[attr-defined]
            found.append(_datastore(int(number), name, pairs))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{_list()} is damaged ({error!r}). Remove it; the keeper rewrites it once oned runs."
            ) from error
    return found


def _datastore(datastore_id: int, name: str, pairs: Pairs) -> Datastore:
    bridges = dict(pairs).get("BRIDGE_LIST", "")
    return Datastore(
        datastore_id, name, ceph_access(pairs), settings.read_settings(pairs, name), str(bridges)
    )


def accept(name: str) -> None:
    """An operator says that this site is the right one although the peer cannot be asked.

    Raises InputError.
    """
    if name not in {datastore.name for datastore in datastores()}:
        known = ", ".join(datastore.name for datastore in datastores()) or "none"
        raise InputError(f"There is no protected datastore {name!r} in {_list()}; there are: {known}.")
    _write(_accepted(), {**_words(), name: time.time() + ACCEPTED_S})


def _words() -> dict[str, float]:
    return {name: float(str(until)) for name, until in _read(_accepted()).items()}


def guard_all(wait_s: float) -> Iterator[Answer]:
    """Guard every datastore of the file; one that cannot be judged is
    asked again until `wait_s` seconds are over.
    """
    begun = time.monotonic()
    try:
        frontend: FrontEnd | None = FrontEnd(limit_s=_CEPH_LIMIT_S)
    except FrontEndError:
        frontend = None
    for datastore in datastores():
        answer = _guard(datastore, frontend)
        # no `waiting.attempts`: the limit is one of all datastores, and longer while another run is busy
        while not answer.free and time.monotonic() < begun + max(wait_s, _busy_s(answer)):
            time.sleep(_PAUSE_S)
            answer = _guard(datastore, frontend)
        yield answer


def _busy_s(answer: Answer) -> float:
    """Another run, mostly the keeper's own guard, may be doing it at this moment: that is waited for."""
    return _BUSY_S if answer.found is not None and answer.found.busy else 0


def _guard(datastore: Datastore, frontend: FrontEnd | None) -> Answer:
    try:
        with connection.connect(datastore.access, _CEPH_LIMIT_S) as pool:
            found = guard.turn(pool, datastore.settings, frontend)
    except (OneDRError, rados.Error, rbd.Error) as error:
        return _unknown(datastore.name, str(error), None)
    return judge(datastore.name, found)


def judge(name: str, found: Guarded) -> Answer:
    """May oned start, as far as this datastore is concerned? What is known is never overruled by --accept."""
    stale = [image for image in found.of(Claim.STALE) if image not in found.demoted]
    if stale:
        why = found.busy or "; ".join(f"{image}: {found.failed.get(image, 'not tried')}" for image in stale)
        text = (
            f"The peer took over {', '.join(stale[:3])} of datastore {name}, and they are not demoted yet "
            f"({why}). oned must not start VMs on them. Run onedr guard again."
        )
        return Answer(name, False, text, found)
    if found.of(Claim.SPLIT):
        return _split(name, found)
    if found.unknown or found.of(Claim.UNKNOWN):
        return _unknown(name, found.unknown or "; ".join(found.failed.values()), found)
    if found.demoted:
        text = (
            f"{len(found.demoted)} image(s) that the peer took over were demoted; onedr reprotect {name} "
            "comes next."
        )
        return Answer(name, True, text, found)
    return Answer(name, True, "its images are this site's to write, or replicas.", found)


def _split(name: str, found: Guarded) -> Answer:
    why = f"primary at both sites, and nothing says who is right: {', '.join(found.of(Claim.SPLIT)[:3])}"
    if _is_accepted(name):
        return Answer(name, True, f"{why}; the operator decided for this site.", found)
    text = (
        f"Datastore {name} is {why}. oned must not start VMs on it. Decide which site gives way; at the one "
        f"that stays: onedr guard --accept {name}, then start OpenNebula; at the other: onedr reprotect "
        f"{name} --confirm {name}."
    )
    return Answer(name, False, text, found)


def _is_accepted(name: str) -> bool:
    return _words().get(name, 0) > time.time()


def _unknown(name: str, why: str, found: Guarded | None) -> Answer:
    if _is_accepted(name):
        text = f"not known whether the peer took over ({why}); accepted by the operator."
        return Answer(name, True, text, found)
    text = (
        f"Not known whether the peer took over datastore {name} ({why}). oned must not start VMs on it. Only "
        f"if you are certain that it did not: onedr guard --accept {name}, then start OpenNebula."
    )
    return Answer(name, False, text, found)
