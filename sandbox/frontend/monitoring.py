"""Turns of monitoring: datastores by their drivers, guests by the script `poll` of their VMM driver."""
from __future__ import annotations

import logging
import re
import threading

from sandbox.frontend.config import DEFAULT_MONITORING_SECONDS
from sandbox.frontend.context import Frontend
from sandbox.frontend.datastores import SYSTEM_DS, Datastore
from sandbox.frontend.drivers import Outcome
from sandbox.frontend.ds_driver import action_data, run_driver
from sandbox.frontend.vm_life import settle
from sandbox.frontend.vms import VM

LOG = logging.getLogger("ImM")
_NUMBER = re.compile(r"^\s*(USED_MB|TOTAL_MB|FREE_MB)\s*=\s*\"?(-?\d+)")
_GUEST = re.compile(r'ID="?(\d+)"?[^\]]*STATE="?(?:RUNNING|SUSPENDED)')
DEFAULT_POLL_SECONDS = 2.0
POLL = "poll"


def run_datastores(frontend: Frontend, ended: threading.Event) -> None:
    """Every MONITORING_INTERVAL_DATASTORE seconds, all datastores side by side."""
    interval = frontend.config.seconds("MONITORING_INTERVAL_DATASTORE", DEFAULT_MONITORING_SECONDS)
    while True:
        with frontend.lock:
            datastores = frontend.store.all(Datastore)
        turns = [threading.Thread(target=monitor, args=(frontend, one.oid), daemon=True) for one in datastores]
        for turn in turns:
            turn.start()
        for turn in turns:
            turn.join()
        if ended.wait(interval):
            return


def monitor(frontend: Frontend, oid: int) -> None:
    """Ask the driver for the size of a datastore; a failure leaves the old numbers."""
    with frontend.lock:
        datastore = frontend.store.find(Datastore, oid)
        if datastore is None:
            return
        shared = datastore.template.text("SHARED").upper() != "NO"
        system = datastore.type == SYSTEM_DS
        mad = datastore.tm_mad if system else datastore.ds_mad
        place = (f"<DATASTORE_LOCATION>{frontend.datastores_path}</DATASTORE_LOCATION>"
                 "<MONITOR_VM_DISKS>0</MONITOR_VM_DISKS>") if system else ""
        data = action_data(datastore.to_xml(), place)
    if system and not shared:
        return
    ask = _monitor_system if system else _monitor_images
    outcome = ask(frontend, mad, oid, data)
    if not outcome.ok:
        LOG.error("Error monitoring datastore %s: %s", oid, outcome.message)
        return
    with frontend.lock:
        found = frontend.store.find(Datastore, oid)
        if found is not None:
            _take(frontend, found, outcome)


def _monitor_images(frontend: Frontend, mad: str, oid: int, data: str) -> Outcome:
    return run_driver(frontend, mad, "monitor", oid, data)


def _monitor_system(frontend: Frontend, mad: str, oid: int, data: str) -> Outcome:
    if mad not in frontend.config.options("DATASTORE_MAD").system_names:
        return Outcome(255, "", f"Datastore driver '{mad}' not available")
    return frontend.datastore_driver.run(frontend.var / "remotes" / "tm" / mad / "monitor", [str(oid)], data)


def _take(frontend: Frontend, datastore: Datastore, outcome: Outcome) -> None:
    """Missing numbers count as 0."""
    numbers = {match.group(1): int(match.group(2)) for line in outcome.stdout.splitlines()
               if (match := _NUMBER.match(line))}
    datastore.used_mb, datastore.total_mb, datastore.free_mb = (
        numbers.get(name, 0) for name in ("USED_MB", "TOTAL_MB", "FREE_MB"))
    frontend.save(datastore)
    LOG.debug("Datastore %s (%s) successfully monitored.", datastore.name, datastore.oid)
    frontend.wake_scheduler.set()


def run_guests(frontend: Frontend, ended: threading.Event) -> None:
    """Look after running guests: one that died on its own leaves its VM in POWEROFF."""
    interval = frontend.config.seconds("SANDBOX_POLL_SECONDS", DEFAULT_POLL_SECONDS)
    while not ended.wait(interval):
        with frontend.lock:
            running = [(vm.place.vm_mad, vm.oid, vm.place.seq) for vm in frontend.store.all(VM)
                       if vm.state_text == "RUNNING"]
        for mad in {mad for mad, _, _ in running}:
            _poll(frontend, mad, {(oid, seq) for other, oid, seq in running if other == mad})


def _poll(frontend: Frontend, mad: str, expected: set[tuple[int, int]]) -> None:
    """`poll` without arguments prints `VM = [ ID="7", ..., STATE="RUNNING" ]` for each guest that is there."""
    script = frontend.var / "remotes" / "vmm" / mad / POLL
    if not script.exists():
        return
    outcome = frontend.vmm_driver.run(script, [])
    if not outcome.ok:
        return
    alive = {int(match.group(1)) for match in _GUEST.finditer(outcome.stdout)}
    for oid, seq in expected:
        if oid not in alive:
            _powered_off(frontend, oid, seq)


def _powered_off(frontend: Frontend, oid: int, seq: int) -> None:
    with frontend.lock:
        vm = frontend.store.find(VM, oid)
        if vm is not None and vm.state_text == "RUNNING" and vm.place.seq == seq:
            logging.getLogger("VMM").info("VM %s running but monitor state is POWEROFF", oid)
            vm.note_action("monitor", None)
            settle(frontend, vm, "POWEROFF")
