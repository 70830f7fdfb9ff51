"""one.vm.migrate: to another host or system datastore."""
from __future__ import annotations

import time

from sandbox.frontend.api.calls import api
from sandbox.frontend.api.vm_requests import request_number
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.datastores import Datastore
from sandbox.frontend.objects.errors import action, unsupported
from sandbox.frontend.objects.hosts import Host
from sandbox.frontend.objects.users import ADMIN, Caller
from sandbox.frontend.objects.vms import VM, History
from sandbox.frontend.vm.capacity import give_capacity, take_capacity
from sandbox.frontend.vm.life import enter


@api("one.vm.migrate", "iib?bii")
def migrate(frontend: Frontend, who: Caller, oid: int, host_id: int, live: bool, enforce: bool = False,
            datastore: int = -1, kind: int = 0) -> int:
    """Move to another host or system datastore."""
    vm, host = frontend.store.get(VM, oid), frontend.store.get(Host, host_id)
    who.demand(ADMIN, vm)
    if vm.state_text not in ("RUNNING", "POWEROFF", "SUSPENDED"):
        raise action(f"Migrate action is not available for state {vm.state_text}")
    if kind != 0:
        raise unsupported("migration by poweroff")
    old = vm.place
    system = frontend.store.get(Datastore, old.ds_id if datastore == -1 else datastore)
    _check_migration(vm, host, system, live, old)
    off = vm.state_text != "RUNNING"
    if not off:
        vm.note_action("live-migrate" if live else "migrate", who, request_number())
    now = int(time.time())
    old.etime = now
    old.retime = old.retime or now
    give_capacity(frontend, vm)
    vm.history.append(History(old.seq + 1, host.name, host.oid, host.cluster_id, host.vm_mad, system.tm_mad,
                              system.oid, stime=now))
    if off:
        vm.note_action("migrate", who, request_number())
    take_capacity(frontend, vm)
    stages = {"POWEROFF": "PROLOG_MIGRATE_POWEROFF", "SUSPENDED": "PROLOG_MIGRATE_SUSPEND"}
    enter(frontend, vm, stages.get(vm.state_text, "MIGRATE" if live else "SAVE_MIGRATE"))
    return oid


def _check_migration(vm: VM, host: Host, system: Datastore, live: bool, old: History) -> None:
    if host.state_text == "OFFLINE":
        raise action("Host is offline, cannot use it to deploy VM")
    same_datastore = system.oid == old.ds_id
    if host.oid == old.hid and same_datastore:
        raise action(f"VM is already running in host [{host.name}] and using system datastore"
                     f" [{system.oid}].")
    if live and host.oid != old.hid and not same_datastore:
        raise action("Cannot live migrate host and datastore at the same time.")
    if not same_datastore and system.template.text("DS_MIGRATE") != "YES":
        raise action("System datastore migration not supported by driver")
    if not same_datastore and system.tm_mad != old.tm_mad:
        raise action("Cannot migrate to a system datastore with a different driver")
