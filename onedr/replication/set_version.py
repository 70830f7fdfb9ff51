"""A new version of a document, in the pools of both sites and in the journal, with the lines that changed."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import rados

from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError, StorageError
from onedr.opennebula.datastores import Datastore
from onedr.replication import both_sites, peer_ceph
from onedr.replication.signed_versions import Documents, Stored, Version, name_there, site_name
from onedr.runs import lease as runs_lease
from onedr.runs.answer_events import MapVersion
from onedr.runs.journal import Run
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request

Body = TypeVar("Body")
_LINES = 200  # journaled at the most


def set_version(
    pool: Pool, target: Datastore, documents: Documents[Body], below: str, request: Request, text: str,
    body: Callable[[Version[Body] | None], Body],
) -> tuple[Version[Body], tuple[str, ...]]:
    """Write and journal it under the lease. `below`: what follows the datastore's name, `/<plan>`; `body`:
    made from the version before. Returns the version, and a warning where the peer has it not.

    Raises RunInProgressError, StorageError, rados.Error.
    """
    settings, owner = target.settings, f"{target.name}{below}"
    there = f"{name_there(target.name, settings)}{below}"
    begun = both_sites.begin_run(pool, settings, request.verb, target.name, request.by, target.datastore_id)
    with begun as run, ExitStack() as stack:
        peer = open_peer(pool, target, stack)
        usable = bool(documents.read(pool, owner).versions)  # a set replaces versions that are in doubt
        before = documents.newest(pool, owner, there, peer).newest if usable else None
        highest = [documents.highest(pool, owner), documents.highest(peer, there) if peer is not None else 0]
        version = Version(
            max(highest) + 1, time.time(), request.by, site_name(pool, settings), text, body(before),
            tuple(dict.fromkeys((owner, there))), changes(before, text),
        )
        alone = _write(documents, (pool, owner), (peer, there), version)
        _journal(run, request, version, f"{documents.called} {below[1:]}".rstrip())
    if not alone:
        return version, ()
    return version, (f"it is in the pool of {version.site} only ({alone}); reconcile hands it on",)


def chosen(stored: Stored[Body], wanted: str) -> Version[Body] | None:
    """The version of that number, the newest where `wanted` is empty; None: there is none."""
    fitting = (each for each in reversed(stored.versions) if wanted in ("", str(each.number)))
    return next(fitting, None)


def shown(version: Version[Body]) -> MapVersion:
    """A version as the verbs answer it."""
    return MapVersion(version.number, version.at, version.by, version.site, version.changes)


def changes(before: Version[Body] | None, text: str) -> tuple[str, ...]:
    """Lines that a file adds (`+`) and removes (`-`)."""
    old = before.text.splitlines() if before is not None else []
    lines = list(difflib.unified_diff(old, text.splitlines(), "", "", lineterm="", n=0))[2:]
    return tuple(line for line in lines if line[:1] in "+-")


def open_peer(pool: Pool, target: Datastore, stack: ExitStack) -> Pool | None:
    """The peer's pool as long as the stack lasts; None when it cannot be reached."""
    status = peer_ceph.probe_peer(pool, target.settings)
    return stack.enter_context(peer_ceph.peer_pool(status, pool.access.pool))[0]


def _write(
    documents: Documents[Body], here: tuple[Pool, str], there: tuple[Pool | None, str], version: Version[Body]
) -> str:
    """Write it at both sites. Returns why the peer has it not; empty when it has."""
    (pool, owner), (peer, owner_there) = here, there
    try:
        documents.write(pool, owner, version)
    except rados.Error as error:
        what = f"The {documents.called} could not be written into pool {pool.access.pool}"
        raise StorageError(f"{what}: {error}") from error
    if peer is None:
        return "the peer's pool cannot be reached"
    try:
        documents.write(peer, owner_there, version)
        documents.note_handed(pool, owner, version.number)
    except (rados.Error, OneDRError) as error:
        return str(error)
    return ""


def _journal(run: Run, request: Request, version: Version[Body], called: str) -> None:
    """One entry that has ended: a set is one write."""
    asked = Request(run.verb, by=request.by, trigger=request.trigger)
    entry = JournalEntry(run.id, run.verb, runs_lease.me(), version.at, asked)
    entry.result, entry.took_s = "DONE", round(time.time() - version.at, 3)
    called = f"{called[0].upper()}{called[1:]}"
    entry.message = f"{called} version {version.number}: {len(version.changes)} lines changed."
    entry.done = {f"line {number}": line for number, line in enumerate(version.changes[:_LINES], 1)}
    run.save(entry)
