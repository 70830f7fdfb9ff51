"""The peer's OSDs: how many run there, and whether they still answer when its monitors do not.

Without monitors it is not known where the OSDs are, so their addresses are kept in the omap of the object
`onedr.peer` of this site's pool, key `osds`: a JSON list of addresses, written by reconcile when it changed.
"""
from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import rados

from onedr.ceph import monitor_ping, omap
from onedr.ceph.connection import Pool
from onedr.ceph.mon_host import addresses
from onedr.host import threads
from onedr.model.errors import StorageError
from onedr.model.json_form import parsed

_OBJECT, _KEY = "onedr.peer", "osds"
_LIMIT_S = 3
_MOST = 32  # addresses to remember: enough for a hint


def remember_osds(pool: Pool, there: Pool) -> None:
    """Note where the peer's OSDs are now. Raises StorageError, rados.Error."""
    front_end_paths: list[str] = []
    for osd in there.mon(prefix="osd dump")["osds"]:
        public = osd.get("public_addrs", {}).get("addrvec", [])
        if osd.get("up") and public:
            front_end_paths.append(f"{public[0]['type']}:{public[0]['addr']}")
    text = json.dumps(sorted(front_end_paths)[:_MOST]).encode()
    if omap.read_keys(pool, _OBJECT, (_KEY,)).get(_KEY) != text:
        omap.write_keys(pool, _OBJECT, {_KEY: text})


def forget_osds(pool: Pool) -> None:
    """Take what was noted away; gone is done."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(_OBJECT)


def begin_look(pool: Pool, connect_s: float = _LIMIT_S) -> Callable[[Pool | None], str]:
    """Call the peer's OSDs at the addresses remembered, beside what the caller does meanwhile.

    The result says what is seen of them, for people: asked of the peer's monitors where its pool is given,
    else by who greeted. Empty when none are known. `connect_s`: as of peer_ceph.begin_probe. Raises
    rados.Error.
    """
    known = _remembered(pool)
    told: list[set[tuple[str, int]]] = []
    asked = threads.start(lambda: told.append(monitor_ping.answering(known, _LIMIT_S, connect_s)))

    def result(there: Pool | None) -> str:
        if there is not None:
            return _asked(there)
        asked.join()
        return _called(known, told[0])

    return result


def _asked(there: Pool) -> str:
    try:
        osds = there.mon(prefix="osd dump")["osds"]
    except (StorageError, rados.Error) as error:
        return f"its OSDs are not known ({error})"
    return f"{sum(1 for osd in osds if osd.get('up'))} of its {len(osds)} OSDs are up"


def _called(known: list[tuple[str, int]], answering: set[tuple[str, int]]) -> str:
    if not known:
        return ""
    if answering:
        return f"{len(answering)} of the {len(known)} OSDs last seen there answer: VMs may still write there"
    return f"none of the {len(known)} OSDs last seen there answers"


def _remembered(pool: Pool) -> list[tuple[str, int]]:
    text = omap.read_keys(pool, _OBJECT, (_KEY,)).get(_KEY)
    try:
        words = parsed(text) if text else []
    except ValueError:
        return []  # damaged: nothing is known, which is what is said
    return addresses(" ".join(str(word) for word in words)) if isinstance(words, list) else []
