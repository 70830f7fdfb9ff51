"""Monitoring of datastores: their drivers are asked for sizes, turn by turn."""
from __future__ import annotations

import logging
import re
import threading

from sandbox.frontend.drivers.datastore_driver import action_data, run_driver
from sandbox.frontend.executor import Outcome
from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.config import DEFAULT_MONITORING_SECONDS
from sandbox.frontend.objects.datastores import SYSTEM_DS, Datastore

LOG = logging.getLogger("ImM")
_NUMBER = re.compile(r"^\s*(USED_MB|TOTAL_MB|FREE_MB)\s*=\s*\"?(-?\d+)")


def run(frontend: Frontend, ended: threading.Event) -> None:
    """Every MONITORING_INTERVAL_DATASTORE seconds monitor all datastores in parallel."""
    interval = frontend.config.seconds("MONITORING_INTERVAL_DATASTORE", DEFAULT_MONITORING_SECONDS)
    while True:
        with frontend.lock:
            datastores = frontend.store.all(Datastore)
        turns = [threading.Thread(target=monitor, args=(frontend, one.oid), daemon=True)
                 for one in datastores]
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
