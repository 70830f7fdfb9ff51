"""The recovery plans of a datastore in the pools of both sites, each in versions (docs/plans.md).

A version without text says that the plan was removed: the newest version counts, so that an older one at
the peer does not bring it back.
"""

from __future__ import annotations

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model import recovery_plan
from onedr.model.recovery_plan import NAME, RecoveryPlan
from onedr.model.types import Settings
from onedr.replication import signed_versions
from onedr.replication.signed_versions import Documents, name_there

Version = signed_versions.Version[RecoveryPlan]
Stored = signed_versions.Stored[RecoveryPlan]


def _set_again(owner: str) -> str:
    datastore, _, name = owner.rpartition("/")
    return f"onedr recovery-plan edit {datastore} {name}"


PLANS = Documents[RecoveryPlan](
    object="onedr.plans", kind="onedr.plan", image="recovery-plan", called="recovery plan", body="plan",
    too_large="select VMs by label or group", set_again=_set_again,
    to_json=recovery_plan.to_json, from_json=recovery_plan.from_json,
)


def owner(datastore: str, name: str) -> str:
    """What the versions of a plan are stored under."""
    return f"{datastore}/{name}"


def names(pool: Pool, datastore: str) -> list[str]:
    """Names of the plans that a pool has versions of, removed ones too, sorted. Raises rados.Error."""
    keys = omap.list_keys(pool, PLANS.object, f"{datastore}/")
    found = {key[len(datastore) + 1 :].partition("/")[0::2] for key in keys}
    return sorted({name for name, rest in found if NAME.fullmatch(name) and rest.isdecimal()})


def newest(
    pool: Pool, datastore: str, settings: Settings, name: str, peer: Pool | None = None
) -> Stored:
    """What is in force of a plan at this site, as `Documents.newest`."""
    there = owner(name_there(datastore, settings), name)
    return PLANS.newest(pool, owner(datastore, name), there, peer)


def is_removed(version: Version | None) -> bool:
    """Is there no such plan any more, or never was?"""
    return version is None or not version.text


def to_hand_on(pool: Pool, datastore: str) -> bool:
    """Has any plan a version that the peer's pool was not seen to hold? Raises rados.Error."""
    return any(PLANS.to_hand_on(pool, owner(datastore, name)) for name in names(pool, datastore))


def hand_on(pool: Pool, peer: Pool, datastore: str, settings: Settings) -> None:
    """Bring the newest version of each plan of either pool to the other. Raises rados.Error, OneDRError."""
    there = name_there(datastore, settings)
    for name in sorted({*names(pool, datastore), *names(peer, there)}):
        PLANS.hand_on(pool, peer, owner(datastore, name), owner(there, name))
