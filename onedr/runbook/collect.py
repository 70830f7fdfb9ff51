"""The facts of a run book, and the book: the facts of a failover, read in the same way."""
from __future__ import annotations

import time
from collections.abc import Iterable

from onedr.ceph import connection, mon_host
from onedr.failover import collect as failover_collect
from onedr.failover import fence_plan, recreate_vms
from onedr.host.paths import front_end_paths
from onedr.model import template
from onedr.model.errors import RecordError
from onedr.model.template import Pairs
from onedr.model.types import DRIVER
from onedr.opennebula.api import FrontEnd, attributes, number
from onedr.opennebula.datastores import Datastore
from onedr.replication import encryption, secrets
from onedr.replication.inventory import VmItem
from onedr.runbook import plan as runbook_plan
from onedr.runbook.facts import BookFacts
from onedr.runs.answer_events import RunBookEvent
from onedr.runs.request import Request

_SYSTEM_DATASTORE = "1"  # TYPE


def make(target: Datastore, frontend: FrontEnd) -> RunBookEvent:
    """The book of a datastore, as of now. Nothing is changed. Raises FrontEndError, StorageError."""
    facts = collect_facts(target, frontend)
    plan = runbook_plan.plan_of(facts)
    if plan.refusal:
        return RunBookEvent(target.name, refusal=plan.refusal)
    named, unopened = secrets_of(plan.vms)
    facts = BookFacts(**{**facts.__dict__, "secrets": named, "unopened": unopened})
    return RunBookEvent(target.name, runbook_plan.lines_of(facts, plan))


def collect_facts(target: Datastore, frontend: FrontEnd) -> BookFacts:
    """Everything but the names of secrets. Raises as `make`."""
    with connection.connect(target.access) as pool:
        found = failover_collect.collect_facts(pool, target, frontend, Request("failover"))
    known, mons = found.facts, found.sight.access.mon_host if found.sight.access else ""
    return BookFacts(
        known, target.datastore_id, target.access, target.settings.site or known.here[:8],
        target.settings.site_index, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        attributes=attributes(frontend.datastore(target.datastore_id)),
        users=found.site.users,
        groups=found.site.groups,
        images=frozenset((number(each, "UID"), each.findtext("NAME") or "") for each in frontend.images()),
        system_datastores=tuple(
            (number(each, "ID"), attributes(each)) for each in frontend.datastores()
            if each.findtext("TYPE") == _SYSTEM_DATASTORE and each.findtext("TM_MAD") == DRIVER
        ),
        peer_seen=fence_plan.seen(known, known.images),
        peer_addresses=tuple(mon_host.addresses(mons)),
        peer_vms=known.there,
        fence_command=known.fence_command,
    )


def secrets_of(items: Iterable[VmItem]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """By origin: names of what stays sealed in a VM's record, and why they cannot be known."""
    named: dict[str, tuple[str, ...]] = {}
    unopened: dict[str, str] = {}
    path = front_end_paths().record_key
    for item in items:
        for part in ("template", "user_template"):
            pairs: Pairs = getattr(item.record, part)
            withheld = template.get(pairs, secrets.WITHHELD)
            if withheld:
                unopened[item.origin] = f"they were not recorded, the peer has no record key ({withheld})"
            sealed = template.get(pairs, secrets.ENCRYPTED)
            if not sealed:
                continue
            try:
                named[item.origin] = (*named.get(item.origin, ()), *_places(item, part, pairs, sealed))
            except RecordError as error:
                unopened[item.origin] = f"{error} ({path})"
    return named, unopened


def _places(item: VmItem, part: str, pairs: Pairs, sealed: str) -> tuple[str, ...]:
    path = front_end_paths().record_key
    key = encryption.load_key(path)
    if key is None:
        raise RecordError(f"there is no record key at {path}")
    clean = template.without(pairs, secrets.ENCRYPTED, secrets.WITHHELD)
    return secrets.places(clean, recreate_vms.opened_secrets(item, part, key, sealed))
