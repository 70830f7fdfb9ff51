"""Quotas of users and groups: the limits that were set; what is used is counted when it is asked for.

Only what the stand-in admits by: VMs, CPU, memory, leases, images. Usage without a limit is not shown.
"""
from __future__ import annotations

from collections.abc import Iterator

from sandbox.frontend.objects.errors import ApiError, Code
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.store import Store
from sandbox.frontend.objects.templates import Template, Vector
from sandbox.frontend.objects.users import Group, Limited, User
from sandbox.frontend.objects.vms import VM

_METRICS = {
    "VM": ("CPU", "MEMORY", "RUNNING_CPU", "RUNNING_MEMORY", "RUNNING_VMS", "SYSTEM_DISK_SIZE", "VMS"),
    "NETWORK": ("LEASES",), "DATASTORE": ("IMAGES", "SIZE"),
}
_ROOTS = {
    "DATASTORE": "DATASTORE_QUOTA", "NETWORK": "NETWORK_QUOTA", "VM": "VM_QUOTA", "IMAGE": "IMAGE_QUOTA",
}
_RUNNING = ("PENDING", "HOLD", "CLONING", "ACTIVE")  # oned counts a VM on hold as running
Amounts = dict[tuple[str, str, str], float]  # by kind, id of network or datastore, metric


def set_limits(owner: Limited, template: Template) -> None:
    """`one.user.quota` and `one.group.quota`: what is named changes, the rest stays."""
    for kind in template:
        if kind not in _METRICS:
            raise ApiError(Code.RPC_API, f"The stand-in front-end has no {kind} quotas")
        for given in template.vectors(kind):
            wanted = {"kind": kind, "ID": given.get("ID", "")}
            kept = next((one for one in owner.limits if wanted.items() <= one.items()), None)
            if kept is None:
                kept = {**wanted, **dict.fromkeys(_METRICS[kind], "-1")}
                owner.limits.append(kept)
            kept.update({key: value for key, value in given.items() if key in _METRICS[kind]})


def xml(store: Store, owner: Limited) -> str:
    """The quota elements of an owner who has limits."""
    used = _used(store, owner)
    found = {kind: [one for one in owner.limits if one["kind"] == kind] for kind in _ROOTS}
    return "".join(
        f"<{root}>{''.join(_element(kind, one, used) for one in found[kind])}</{root}>"
        for kind, root in _ROOTS.items()
    )


def _element(kind: str, limit: Vector, used: Amounts) -> str:
    inner = f"<ID><![CDATA[{limit['ID']}]]></ID>" if limit["ID"] else ""
    for metric in _METRICS[kind]:
        amount = used.get((kind, limit["ID"], metric), 0.0)
        inner += f"<{metric}><![CDATA[{limit[metric]}]]></{metric}>"
        inner += f"<{metric}_USED><![CDATA[{amount:g}]]></{metric}_USED>"
    return f"<{kind}>{inner}</{kind}>"


def refusal(store: Store, owner: Limited, needs: Amounts) -> str:
    """Why an owner may not have this too, as oned says it; empty when he may."""
    used = _used(store, owner)
    for limit in owner.limits:
        kind, number = limit["kind"], limit["ID"]
        for metric in _METRICS[kind]:
            most, more = float(limit[metric]), needs.get((kind, number, metric), 0.0)
            if most >= 0 and more and used.get((kind, number, metric), 0.0) + more > most:
                whose = f" with ID: {number}" if number else ""
                said = f"limit of {most:g} reached for {metric} quota in {kind}{whose}"
                return f"{owner.LABEL} [{owner.oid}] {said}"
    return ""


def of_object(obj: PoolObject, running_only: bool = False) -> Amounts:
    """What a VM or image counts."""
    if isinstance(obj, Image):
        number = str(obj.datastore_id)
        return {("DATASTORE", number, "IMAGES"): 1.0, ("DATASTORE", number, "SIZE"): float(obj.size)}
    if not isinstance(obj, VM) or obj.state_name == "DONE":
        return {}
    basic = {"VMS": 1.0, "CPU": float(obj.template.text("CPU")), "MEMORY": float(obj.template.text("MEMORY"))}
    running = {("VM", "", f"RUNNING_{metric}"): amount for metric, amount in basic.items()}
    if running_only:
        return running
    found: Amounts = {("VM", "", metric): amount for metric, amount in basic.items()}
    found[("VM", "", "SYSTEM_DISK_SIZE")] = sum(
        float(disk.get("SIZE", 0)) for disk in obj.disks if not disk.get("IMAGE_ID")
    )
    if obj.state_name in _RUNNING:
        found.update(running)
    for nic in obj.interfaces:
        key = ("NETWORK", nic.get("NETWORK_ID", ""), "LEASES")
        found[key] = found.get(key, 0.0) + 1
    return found


def _used(store: Store, owner: Limited) -> Amounts:
    used: Amounts = {}
    for obj in _owned(store, owner):
        for key, amount in of_object(obj).items():
            used[key] = used.get(key, 0.0) + amount
    return used


def _owned(store: Store, owner: Limited) -> Iterator[PoolObject]:
    for obj in (*store.all(VM), *store.all(Image)):
        mine = obj.uid == owner.oid if isinstance(owner, User) else obj.gid == owner.oid
        if mine:
            yield obj


def demand(store: Store, needs: Amounts, uid: int, gid: int) -> str:
    """Why user and group together do not admit this; empty when they do, as oneadmin always does."""
    user = store.find(User, uid) if uid > 0 else None
    group = store.find(Group, gid) if gid > 0 else None
    return next(filter(None, (refusal(store, owner, needs) for owner in (user, group) if owner)), "")
