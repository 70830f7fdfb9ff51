"""Monitoring of guests: the script `poll` of a VMM driver lists those that run."""
from __future__ import annotations

import logging
import re
import threading

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.vm.life import settle

LOG = logging.getLogger("VMM")
DEFAULT_POLL_SECONDS = 2.0
POLL = "poll"
_GUEST = re.compile(r'ID="?(\d+)"?[^\]]*STATE="?(?:RUNNING|SUSPENDED)')


def run(frontend: Frontend, ended: threading.Event) -> None:
    """Compare VMs with guests every SANDBOX_POLL_SECONDS; a VM whose guest ended goes to POWEROFF."""
    interval = frontend.config.seconds("SANDBOX_POLL_SECONDS", DEFAULT_POLL_SECONDS)
    while not ended.wait(interval):
        with frontend.lock:
            running = [(vm.place.vm_mad, vm.oid, vm.place.seq) for vm in frontend.store.all(VM)
                       if vm.state_text == "RUNNING"]
        for mad in {mad for mad, _, _ in running}:
            _poll(frontend, mad, {(oid, seq) for other, oid, seq in running if other == mad})


def _poll(frontend: Frontend, mad: str, expected: set[tuple[int, int]]) -> None:
    """`poll` without arguments prints `VM = [ ID="7", ..., STATE="RUNNING" ]` for each guest."""
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
            LOG.info("VM %s running but monitor state is POWEROFF", oid)
            vm.note_action("monitor", None)
            settle(frontend, vm, "POWEROFF")
