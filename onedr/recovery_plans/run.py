"""`onedr recovery-plan`: show, edit, check. A plan is written whole into both pools, or into this one and
handed on later.
"""
from __future__ import annotations

from contextlib import ExitStack

import rados

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.host import log
from onedr.model.errors import InputError, StorageError
from onedr.model.recovery_plan import NAME, NONE, RecoveryPlan
from onedr.model.text import closest
from onedr.opennebula.datastores import Datastore
from onedr.recovery_plans import check_rules
from onedr.replication import image_facts, inventory, plan_store, set_version
from onedr.replication.plan_store import PLANS, Stored, Version
from onedr.replication.signed_versions import name_there
from onedr.runs.recovery_plan_events import PlanShown, RecoveryPlanEvent
from onedr.runs.request import Request

_MOST = 50  # plans of a datastore


def show(target: Datastore, name: str, wanted: str = "") -> RecoveryPlanEvent:
    """A plan as it is in force, or its version `wanted`; all plans where `name` is empty. Raises InputError,
    StorageError.
    """
    with connection.connect(target.access) as pool, ExitStack() as stack:
        peer = set_version.open_peer(pool, target, stack)
        if not name:
            return RecoveryPlanEvent(target.name, plans=_all(pool, peer, target))
        stored = _stored(pool, peer, target, name)
    return _shown(target, name, stored, wanted)


def _shown(target: Datastore, name: str, stored: Stored, wanted: str) -> RecoveryPlanEvent:
    chosen = set_version.chosen(stored, wanted)
    if wanted and chosen is None:
        raise InputError(
            f"There is no version {wanted} of the plan {name}; onedr recovery-plan history {target.name} "
            f"{name} lists them."
        )
    return RecoveryPlanEvent(
        target.name, name, chosen.text if chosen else "", chosen.number if chosen else 0,
        tuple(map(set_version.shown, stored.versions)), stored.doubts,
    )


def _all(pool: Pool, peer: Pool | None, target: Datastore) -> tuple[PlanShown, ...]:
    found = []
    for name in _names(pool, peer, target):
        chosen = name == target.settings.recovery_plan
        try:
            newest = plan_store.newest(pool, target.name, target.settings, name, peer).newest
        except StorageError as error:
            found.append(PlanShown(name, 0, 0.0, "", "", str(error), chosen))
            continue
        if newest is not None and not plan_store.is_removed(newest):
            shown = PlanShown(name, newest.number, newest.at, newest.by, newest.site, chosen=chosen)
            found.append(shown)
    return tuple(found)


def _names(pool: Pool, peer: Pool | None, target: Datastore) -> list[str]:
    """Of both pools, where the peer's can be read."""
    found = set(plan_store.names(pool, target.name))
    try:
        there = name_there(target.name, target.settings)
        found |= set(plan_store.names(peer, there)) if peer is not None else set()
    except rados.Error as error:
        log.warning(f"the plans in the peer's pool are not read: {error}")
    return sorted(found)


def _stored(pool: Pool, peer: Pool | None, target: Datastore, name: str) -> Stored:
    """Raises InputError where there never was one."""
    check_name(name)
    stored = plan_store.newest(pool, target.name, target.settings, name, peer)
    if not stored.versions:
        known = _names(pool, peer, target)
        raise InputError(
            f"Datastore {target.name} has no recovery plan {name}{closest(name, known)} Write one: onedr "
            f"recovery-plan edit {target.name} {name}"
        )
    return stored


def check_name(name: str) -> None:
    """Raises InputError for what no plan can be called."""
    if not NAME.fullmatch(name) or name == NONE:
        raise InputError(
            f"{name!r} is no name of a plan: small letters, digits and -, at most 32, beginning with a "
            f"letter, and not {NONE}."
        )


def edit(target: Datastore, request: Request, name: str, text: str) -> RecoveryPlanEvent:
    """Read the file, write a new version, and journal it; a `text` that is empty removes the plan.

    Raises InputError before anything is changed, RunInProgressError while a run is in progress.
    """
    from onedr.recovery_plans import plan_file  # needs PyYAML, which a bridge host may lack

    check_name(name)
    found = plan_file.read(text) if text else RecoveryPlan()
    with connection.connect(target.access) as pool, ExitStack() as stack:
        peer = set_version.open_peer(pool, target, stack)
        warnings = _refuse_or_warn(pool, peer, target, name, found)
        version, alone = set_version.set_version(
            pool, target, PLANS, f"/{name}", request, text, lambda _: found
        )
    log.info(f"recovery plan {name}, version {version.number}, set by {request.by}")
    return RecoveryPlanEvent(
        target.name, name, text, version.number, (set_version.shown(version),), (*warnings, *alone),
        written=True,
    )


def _refuse_or_warn(
    pool: Pool, peer: Pool | None, target: Datastore, name: str, found: RecoveryPlan
) -> tuple[str, ...]:
    """What the author should look at. Raises InputError for one plan too many, and the removal of none."""
    known = _names(pool, peer, target)
    if not found.groups and name not in known:
        raise InputError(f"Datastore {target.name} has no recovery plan {name}{closest(name, known)}")
    if name not in known and len(known) >= _MOST:
        raise InputError(f"Datastore {target.name} has {_MOST} plans already; edit one of them.")
    return check_rules.warnings(found, _vms(pool, target)) if found.groups else ()


def _vms(pool: Pool, target: Datastore) -> list[inventory.VmItem]:
    """Protected VMs of both sites, each once: those here, and those that a failover would bring."""
    images = image_facts.of_datastore(pool, target)
    own = inventory.vms(images, pool.fsid(), own=True)
    return [*own, *inventory.standing_by(images, pool.fsid())]


def check(target: Datastore, name: str) -> RecoveryPlanEvent:
    """A plan against the VMs that there are: what each group starts, and what is wrong with it."""
    with connection.connect(target.access) as pool, ExitStack() as stack:
        peer = set_version.open_peer(pool, target, stack)
        stored = _stored(pool, peer, target, name)
        version = stored.newest
        if version is None or plan_store.is_removed(version):
            raise InputError(f"The recovery plan {name} of {target.name} was removed.")
        items = _vms(pool, target)
        problems = (*stored.doubts, *_not_there(peer, target, name, version))
    return RecoveryPlanEvent(
        target.name, name, version=version.number, warnings=check_rules.warnings(version.body, items),
        groups=check_rules.groups(version.body, items), problems=problems,
    )


def _not_there(peer: Pool | None, target: Datastore, name: str, version: Version) -> tuple[str, ...]:
    """Has the peer's pool the version too? One that does not answer is no problem of the plan."""
    if peer is None:
        return ()
    there = PLANS.read(peer, plan_store.owner(name_there(target.name, target.settings), name)).newest
    if there is not None and there.number == version.number:
        return ()
    return (
        f"the peer's pool has version {there.number if there else 0}, not {version.number}; onedr reconcile "
        f"{target.name} hands it on",
    )
