"""`onedr pause` and `onedr resume-protection`: the copies of a pool stay as they are, or follow again
(docs/pause.md).
"""
from __future__ import annotations

import time
from contextlib import ExitStack

from onedr.ceph import connection, mirroring, receiving
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model.errors import RefusedError
from onedr.model.text import Sentence, filled, named
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.protection import keeper_lock, status
from onedr.replication import both_sites, image_facts, peer_ceph
from onedr.runs import lease as runs_lease
from onedr.runs.journal import Run
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request

PAUSE, RESUME = "pause", "resume_protection"  # verbs


def set_paused(target: Datastore, request: Request, frontend: FrontEnd) -> str:
    """Do what the request's verb says, journal it and show it. Returns a sentence for people.

    Raises RefusedError before anything is changed, RunInProgressError while a run is in progress.
    """
    with connection.connect(target.access) as pool:
        if not target.settings.protect:
            raise RefusedError(f"Datastore {target.name} is not protected: there is nothing to pause.")
        begun = both_sites.begin_run(pool, target.settings, request.verb, target.name, request.by)
        with begun as run, ExitStack() as stack:
            seen = peer_ceph.probe_peer(pool, target.settings)
            peer, detail = stack.enter_context(peer_ceph.peer_pool(seen, pool.access.pool))
            if request.verb == PAUSE:
                _refuse_pause(run, pool, target)
            pools = _receivers(pool, peer, detail, target, request.verb == RESUME)
            changed = [receiving.set_receiving(each, request.verb == RESUME) for each in pools]
            text = _said(request.verb, any(changed), target)
            _journal(run, request, text)
    log.info(f"{text} Asked by {request.by}.")
    status.show_status(target, frontend)
    keeper_lock.wake_keeper(target.datastore_id)
    return text


def _refuse_pause(run: Run, pool: Pool, target: Datastore) -> None:
    """A direction is the pool's: what is not of this datastore would be paused too."""
    if run.interrupted is not None:
        verb = run.interrupted.verb
        raise RefusedError(f"The last {verb} was interrupted. Finish it first: onedr resume {target.name}.")
    own = {fact.name for fact in image_facts.of_datastore(pool, target)}
    others = sorted(mirroring.roles(pool).keys() - own)
    if others:
        text = "Ceph pauses whole pools, and this one has images of others too: {}. Nothing was changed."
        raise RefusedError(filled(text, named(others)))


def _receivers(
    pool: Pool, peer: Pool | None, detail: str, target: Datastore, every: bool
) -> list[Pool]:
    """The pools that take copies of the datastore's images; `every`: both that can be reached."""
    facts = [fact for fact in image_facts.of_datastore(pool, target) if fact.mode is not None]
    sends, takes = any(fact.primary for fact in facts), any(not fact.primary for fact in facts)
    if not facts:
        raise RefusedError(f"Nothing of {target.name} is mirrored yet.")
    if sends and peer is None:
        raise RefusedError(Sentence(
            f"The peer's pool, which takes the copies, cannot be reached ({detail}). Nothing was changed; "
            "run it there."
        ))
    here, there = takes or every, peer is not None and (sends or every)
    return [*([pool] if here else []), *([peer] if there and peer is not None else [])]


def _said(verb: str, changed: bool, target: Datastore) -> str:
    if verb == RESUME:
        if not changed:
            return f"Replication of {target.name} was not paused."
        return f"Replication of {target.name} continues within a minute: the copies follow."
    if not changed:
        return f"Replication of {target.name} was paused already."
    return (
        f"Replication of {target.name} is paused within a minute: the copies stay as they are and grow "
        f"older, and the writing site's journals grow. onedr resume-protection {target.name} continues."
    )


def _journal(run: Run, request: Request, text: str) -> None:
    """One entry that has ended: it is one write for each pool."""
    at = time.time()
    asked = Request(request.verb, by=request.by, trigger=request.trigger)
    entry = JournalEntry(run.id, request.verb, runs_lease.me(), at, asked)
    entry.result, entry.took_s, entry.message = "DONE", 0.0, text
    run.save(entry)
