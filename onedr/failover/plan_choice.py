"""The recovery plan that a run goes by: what was asked for, else DR_RECOVERY_PLAN of the datastore."""
from __future__ import annotations

from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model import template
from onedr.model.errors import StorageError
from onedr.model.recovery_plan import NAME, NONE, Chosen
from onedr.opennebula.datastores import Datastore
from onedr.replication import plan_store
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request
from onedr.runs.steps import StepKind


def read(pool: Pool, target: Datastore, request: Request, peer: Pool | None) -> Chosen:
    """Of both pools the newest version, where the peer's can be read. What is not known or in doubt is no
    error here: a dry run shows it too. Raises rados.Error.
    """
    name = template.get(request.attributes, "RECOVERY_PLAN").strip() or target.settings.recovery_plan
    if name in ("", NONE):
        return Chosen()
    if not NAME.fullmatch(name):
        return Chosen(name, doubt=f"{name!r} is no name of a plan.")
    try:
        stored = plan_store.newest(pool, target.name, target.settings, name, peer)
    except StorageError as error:
        return Chosen(name, doubt=str(error))
    for doubt in stored.doubts:
        log.warning(doubt)
    found = stored.newest
    if found is None or plan_store.is_removed(found):
        known = f"onedr recovery-plan show {target.name} lists those that there are."
        gone = "was removed" if found is not None else "is not there"
        return Chosen(name, doubt=f"the plan {name} {gone}; {known}")
    return Chosen(name, found.number, found.body)


def gates_passed(last: JournalEntry | None, chosen: Chosen) -> frozenset[str]:
    """Targets of the gates that an interrupted run has passed by the same version of the plan."""
    if last is None or not last.interrupted or not chosen.label:
        return frozenset()
    if (last.plan or {}).get("recovery_plan") != chosen.label:
        return frozenset()
    prefix = f"{StepKind.GATE.value} "
    return frozenset(key[len(prefix):] for key in last.ended if key.startswith(prefix))
