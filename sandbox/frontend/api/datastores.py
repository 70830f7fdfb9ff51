"""one.datastore.* and one.datastorepool.info."""
from __future__ import annotations

from sandbox.frontend.api import shared_calls
from sandbox.frontend.api.calls import api
from sandbox.frontend.drivers.monitoring import monitor
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects import datastores
from sandbox.frontend.objects.clusters import Cluster
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.errors import ApiError, Code, TemplateError, action, internal, not_allocated
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.pool_object import check_name
from sandbox.frontend.objects.store import FIRST_USER_ID
from sandbox.frontend.objects.templates import Template, parse
from sandbox.frontend.objects.users import ADMIN, MANAGE, Caller
from sandbox.frontend.objects.vms import VM

DEFAULT_CLUSTER = 0
SHARED_BITS = [1, 1, 0, 1, 0, 0, 0, 0, 0]


def _renamed(frontend: Frontend, datastore: Datastore) -> None:
    for oid in datastore.images:
        image = frontend.store.find(Image, oid)
        if image is not None:
            image.datastore = datastore.name
            frontend.save(image)


shared_calls.add_info("datastore", Datastore)
shared_calls.add_plain_pool("datastore", Datastore)
shared_calls.add_rename("datastore", Datastore, "DATASTORE", renamed=_renamed)
shared_calls.add_ownership("datastore", Datastore)


def make(frontend: Frontend, who: Caller, template: Template, cluster: int) -> Datastore:
    """A new datastore."""
    name = template.take("NAME")
    try:
        check_name(name, ",")
    except ApiError as failure:
        raise not_allocated("datastore", failure.text) from failure
    taken = frontend.store.by_name(Datastore, name)
    if taken is not None:
        raise internal(f"NAME is already taken by DATASTORE {taken.oid}.")
    made = Datastore(**who.owner_of(-1), name=name, permissions=list(SHARED_BITS))
    datastores.create(made, template, frontend.config, str(frontend.datastores_path))
    made.oid = frontend.store.next_id("datastore", FIRST_USER_ID)
    made.base_path = f"{frontend.datastores_path}/{made.oid}"
    made.clusters = [DEFAULT_CLUSTER if cluster == -1 else cluster]
    frontend.save(made)
    return made


@api("one.datastore.allocate", "s?i")
def allocate(frontend: Frontend, who: Caller, text: str, cluster: int = -1) -> int:
    """Create a datastore; no driver is called."""
    template = shared_calls.read_template(text)
    if cluster != -1:
        frontend.store.get(Cluster, cluster)
    who.demand_admin("CREATE", "DATASTORE")
    made = make(frontend, who, template, cluster)
    who.extra = made.to_xml()
    frontend.background(lambda: monitor(frontend, made.oid), f"monitor {made.oid}")
    frontend.wake_scheduler.set()
    return made.oid


@api("one.datastore.update", "is?i")
def update(frontend: Frontend, who: Caller, oid: int, text: str, way: int = 0) -> int:
    """Change the template; the old object stays when oned.conf does not allow the new one."""
    datastore = frontend.store.get(Datastore, oid)
    who.demand(MANAGE, datastore)
    if way not in (0, 1):
        raise ApiError(Code.RPC_API, "Wrong update type")
    kept = (datastore.template, datastore.type, datastore.disk_type, datastore.tm_mad, datastore.ds_mad,
            datastore.total_mb, datastore.free_mb, datastore.used_mb)
    try:
        made = datastore.template.clone() if way == 1 else Template()
        made.merge(parse(text))
        datastore.template = made
        datastores.after_update(datastore, frontend.config)
    except (TemplateError, ApiError) as failure:
        (datastore.template, datastore.type, datastore.disk_type, datastore.tm_mad, datastore.ds_mad,
         datastore.total_mb, datastore.free_mb, datastore.used_mb) = kept
        raise internal(f"Cannot update template. {failure}") from failure
    frontend.save(datastore)
    frontend.wake_scheduler.set()
    return oid


@api("one.datastore.delete", "i")
def delete(frontend: Frontend, who: Caller, oid: int) -> int:
    """Only empty datastores go; no driver is called."""
    datastore = frontend.store.get(Datastore, oid)
    who.demand(ADMIN, datastore)
    if oid < FIRST_USER_ID:
        raise action(f"Cannot delete datastore. Datastore {oid} cannot be deleted.")
    used = any(vm.active_datastore == oid for vm in frontend.store.all(VM))
    if datastore.images or used:
        raise action(f"Cannot delete datastore. Datastore {oid} is not empty.")
    who.extra = datastore.to_xml()
    frontend.store.drop(datastore)
    return oid


@api("one.datastore.enable", "ib")
def enable(frontend: Frontend, who: Caller, oid: int, on: bool) -> int:
    """System datastores only."""
    datastore = frontend.store.get(Datastore, oid)
    who.demand(MANAGE, datastore)
    if datastore.type != datastores.SYSTEM_DS:
        raise internal("Only SYSTEM_DS can be disabled or enabled")
    datastore.state = 0 if on else 1
    frontend.save(datastore)
    frontend.wake_scheduler.set()
    return oid
