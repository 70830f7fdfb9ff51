"""Quotas of users on VMs and datastores: limits as set, usage counted from the objects at each question."""
from __future__ import annotations

from collections.abc import Iterable

from sandbox.frontend.objects.errors import ApiError, Code
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.store import Store
from sandbox.frontend.objects.templates import Template, Vector, cdata
from sandbox.frontend.objects.users import User
from sandbox.frontend.objects.vms import VM

_RUNNING = ("INIT", "PENDING", "HOLD", "CLONING", "CLONING_FAILURE", "ACTIVE")
_VM_METRICS = ("VMS", "RUNNING_VMS", "CPU", "RUNNING_CPU", "MEMORY", "RUNNING_MEMORY")
_DATASTORE_METRICS = ("SIZE", "IMAGES")
_UNLIMITED = -2.0


Metrics = tuple[str, ...]


def _of_vm(vm: VM) -> dict[str, float]:
    own = {"VMS": 1.0, "CPU": float(vm.template.text("CPU")), "MEMORY": float(vm.template.text("MEMORY"))}
    running = vm.state_name in _RUNNING
    return {**own, **{f"RUNNING_{key}": value if running else 0.0 for key, value in own.items()}}


def _of_image(image: Image) -> dict[str, float]:
    return {"SIZE": float(image.size), "IMAGES": 1.0}


def _sum(each: Iterable[dict[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in each:
        for key, value in one.items():
            total[key] = total.get(key, 0.0) + value
    return total


def _used_by_vms(store: Store, uid: int) -> dict[str, float]:
    return _sum(_of_vm(vm) for vm in store.all(VM) if vm.uid == uid and vm.state_name != "DONE")


def _used_of_datastore(store: Store, uid: int, oid: int) -> dict[str, float]:
    return _sum(_of_image(one) for one in store.all(Image) if one.uid == uid and one.datastore_id == oid)


def set_limits(user: User, given: Template) -> None:
    """VM and DATASTORE sections, each merged into what is set."""
    for vector in given.vectors("VM"):
        user.quotas["VM"] = {**user.quotas.get("VM", {}), **vector}
    for vector in given.vectors("DATASTORE"):
        key = f"DATASTORE {vector['ID']}"
        user.quotas[key] = {**user.quotas.get(key, {}), **vector}


def demand_room(store: Store, who: int, user: User, obj: VM | Image) -> None:
    """Refuse an object that the user's limits do not allow besides what he has. `who`: the caller."""
    metrics: Metrics
    if isinstance(obj, VM):
        limits, used, more = user.quotas.get("VM", {}), _used_by_vms(store, user.oid), _of_vm(obj)
        where, metrics = "VM", _VM_METRICS
    else:
        limits = user.quotas.get(f"DATASTORE {obj.datastore_id}", {})
        used, more = _used_of_datastore(store, user.oid, obj.datastore_id), _of_image(obj)
        where, metrics = f"DATASTORE with ID: {obj.datastore_id}", _DATASTORE_METRICS
    for metric in metrics:
        limit = float(limits.get(metric, _UNLIMITED))
        if limit >= 0 and used.get(metric, 0.0) + more[metric] > limit:
            text = f"limit of {limit:g} reached for {metric} quota in {where}"
            raise ApiError(Code.AUTHORIZATION, f"User [{who}] : user [{user.oid}] {text}.")


def to_xml(store: Store, user: User) -> str:
    """The four sections of a user; those that the stand-in does not count are empty."""
    datastores = sorted({
        *(int(key.split()[1]) for key in user.quotas if key.startswith("DATASTORE ")),
        *(one.datastore_id for one in store.all(Image) if one.uid == user.oid),
    })
    shown = "".join(
        _section("DATASTORE", user.quotas.get(f"DATASTORE {oid}", {}), _DATASTORE_METRICS,
                 _used_of_datastore(store, user.oid, oid), f"<ID>{cdata(str(oid))}</ID>")
        for oid in datastores)
    used = _used_by_vms(store, user.oid)
    vms = _section("VM", user.quotas["VM"], _VM_METRICS, used) if "VM" in user.quotas else (
        _section("VM", {}, _VM_METRICS, used) if used else "")
    return (f"<DATASTORE_QUOTA>{shown}</DATASTORE_QUOTA><NETWORK_QUOTA></NETWORK_QUOTA>"
            f"<VM_QUOTA>{vms}</VM_QUOTA><IMAGE_QUOTA></IMAGE_QUOTA>")


def _section(
    name: str, limits: Vector, metrics: Metrics, used: dict[str, float], first: str = ""
) -> str:
    rows = "".join(
        f"<{metric}>{cdata(limits.get(metric, '-1'))}</{metric}>"
        f"<{metric}_USED>{cdata(format(used.get(metric, 0.0), 'g'))}</{metric}_USED>" for metric in metrics)
    return f"<{name}>{first}{rows}</{name}>"
