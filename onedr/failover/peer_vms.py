"""The peer's front-end: which of its VMs use our pool, stopping and locking them, unlocking them."""
from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lxml import etree

from onedr.host import config as host_config
from onedr.host.waiting import attempts
from onedr.model import names
from onedr.model.errors import FrontEndError, InputError, OneDRError, TimedOutError
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import NOT_POSSIBLE, FrontEnd, attributes, number
from onedr.opennebula.run_made import is_of_run
from onedr.opennebula.vm_locks import (
    LOCKED_STATE,
    USER_LOCK,
    locked_state,
    stands_by,
    unlocked,
    user_lock,
)
from onedr.opennebula.vms import PeerVm

_LOOK_LIMIT_S = 10
LOCKS_ALL = 4  # level of one.vm.lock: no action at all, not even oneadmin's (docs/opennebula-facts.md O27)
GRACE_S = 120  # a guest has this long to shut down by itself
_PAUSE_S = 0.5
_AT_REST = ("POWEROFF", "HOLD", "SUSPENDED", "STOPPED", "UNDEPLOYED")
_RUNNING, _UNKNOWN = 3, 16  # LCM states


@dataclass(frozen=True)
class PeerVms:
    """The peer's front-end when it answers (`frontend`),
    its VMs on the pool (None when it does not), and why not.
    """

    frontend: FrontEnd | None
    vms: tuple[PeerVm, ...] | None
    detail: str


def peer_front_end(limit_s: float = _LOOK_LIMIT_S) -> FrontEnd:
    """The peer's front-end; `limit_s` is of each call. Raises InputError when none is configured."""
    settings = host_config.load_config()
    if not settings.peer_endpoint:
        raise InputError(
            "The peer's front-end is not known: set endpoint and auth in section [peer] of "
            f"{host_config.path()}."
        )
    return FrontEnd(settings.peer_endpoint, settings.peer_session, limit_s)


def collect_peer_vms(pool_name: str) -> PeerVms:
    """Ask the peer's front-end, as `onedr.conf` names it, for the VMs with disks in the pool."""
    try:
        settings = host_config.load_config()
        if not settings.peer_endpoint:
            return PeerVms(None, None, f"no peer.endpoint in {host_config.path()}")
        there = peer_front_end()
        vms = tuple(on_pool(there, pool_name))
    except (FrontEndError, InputError) as error:
        return PeerVms(None, None, str(error))
    return PeerVms(there, vms, f"{settings.peer_endpoint} answers")


def on_pool(frontend: FrontEnd, pool_name: str) -> Iterator[PeerVm]:
    """VMs of a front-end that have a disk in the pool."""
    for element in frontend.vms():
        if is_of_run(element):
            continue  # on clones of its own: in no run's way
        found = of_element(element, pool_name)
        if found.images:
            yield found


def of_element(element: etree._Element, pool_name: str) -> PeerVm:
    """A VM as its front-end's XML shows it. Raises InputError."""
    vm_id, state = number(element, "ID"), opennebula_objects.vm_state(element)
    images, clones, bases = set(), set(), set()
    record = opennebula_objects.vm_record(element, ())
    for disk in record.disks:
        pool, _, name = (disk.rbd or "").partition("/")
        if pool == pool_name:
            images.add(name)
            clones |= {name} if disk.clone else set()
            waits = disk.clone and state in opennebula_objects.WAITING
            bases |= {names.base_of(name, vm_id, disk.disk_id)} if waits else set()
    before = locked_state(attributes(element, "USER_TEMPLATE"))
    locked = element.find("LOCK") is not None
    return PeerVm(
        vm_id, element.findtext("NAME") or "", state, before, frozenset(images), frozenset(clones), locked,
        frozenset(bases), record.template,
    )


def is_held(vm: PeerVm) -> bool:
    """Did a run of ours stop and lock it? A mark and a lock alone do not say so: its user may have set both
    on a VM that runs.
    """
    return bool(vm.locked_state) and vm.locked and vm.state in _AT_REST


def lock_vm(there: FrontEnd, vm_id: int, limit_s: float, grace_s: float = GRACE_S) -> str:
    """Stop a VM, asked first, then hard after `grace_s`, and lock it. Reads back.

    What it was is noted on it before (DR_LOCKED_STATE), so that a later run knows that it was stopped by us.
    """
    element = there.vm(vm_id)
    state = opennebula_objects.vm_state(element)
    _take_off_a_users_lock(there, element, state)
    user = attributes(element, "USER_TEMPLATE")
    if not locked_state(user):
        there.update_vm(vm_id, ((LOCKED_STATE, state), *stands_by(user)))
    if state == "PENDING":
        there.call("vm.action", "hold", vm_id)
    how = "was at rest" if state in _AT_REST else _power_off(there, vm_id, limit_s, grace_s)
    if there.vm(vm_id).find("LOCK") is None:
        there.call("vm.lock", vm_id, LOCKS_ALL, False)
    found = there.vm(vm_id)
    if opennebula_objects.vm_state(found) not in _AT_REST or found.find("LOCK") is None:
        raise OneDRError(
            f"VM {vm_id} is {opennebula_objects.vm_state(found)} and not locked although it was stopped"
        )
    return how


def _take_off_a_users_lock(there: FrontEnd, element: etree._Element, state: str) -> None:
    """A lock that its user set would keep the VM running, and hold up everybody's move. Its level is noted
    (DR_USER_LOCK): it is put back when the VM is let go.
    """
    lock, vm_id = element.find("LOCK"), number(element, "ID")
    ours = state in _AT_REST and locked_state(attributes(element, "USER_TEMPLATE"))
    if lock is not None and not ours:
        there.call("vm.unlock", vm_id)
        there.update_vm(vm_id, ((USER_LOCK, lock.findtext("LOCKED") or ""),))


def _power_off(there: FrontEnd, vm_id: int, limit_s: float, grace_s: float) -> str:
    asked: list[str] = []
    grace_ends = time.monotonic() + grace_s
    for _ in attempts(limit_s, _PAUSE_S):
        element = there.vm(vm_id)
        state, lcm = opennebula_objects.vm_state(element), number(element, "LCM_STATE")
        if state in _AT_REST:
            return ", then ".join(asked) or "stopped by itself"
        if state not in ("ACTIVE", "PENDING"):
            raise OneDRError(f"VM {vm_id} is {state}; it can neither be stopped nor left")
        wanted = "poweroff-hard" if lcm == _UNKNOWN or time.monotonic() > grace_ends else "poweroff"
        if lcm in (_RUNNING, _UNKNOWN) and wanted not in asked and _asked(there, wanted, vm_id):
            asked.append(wanted)
    raise OneDRError(f"VM {vm_id} did not stop in time")


def _asked(there: FrontEnd, action: str, vm_id: int) -> bool:
    try:
        there.call("vm.action", action, vm_id)
    except FrontEndError as error:
        if error.code != NOT_POSSIBLE:
            raise
        return False  # it was just changing its state; asked again
    return True


def unlock_vm(there: FrontEnd, vm: PeerVm, limit_s: float) -> str:
    """Unlock it and let it be what it was, also locked by its user. Reads back."""
    if there.vm(vm.vm_id).find("LOCK") is not None:
        there.call("vm.unlock", vm.vm_id)
    if vm.locked_state == "PENDING":
        there.call("vm.action", "release", vm.vm_id)
    elif vm.locked_state == "ACTIVE":
        _resume(there, vm.vm_id, limit_s)
    return f"is {vm.locked_state} again{let_go(there, vm.vm_id)}"


def start_home(frontend: FrontEnd, home: PeerVm, limit_s: float) -> str:
    """Let a VM that came home run; one on hold was never deployed and waits for a host again. Reads back."""
    found = replace(home, locked_state="PENDING" if home.state == "HOLD" else "ACTIVE")
    return f"VM {home.vm_id} {unlock_vm(frontend, found, limit_s)}"


def forget_locked_state(frontend: FrontEnd, vm_id: int) -> int:
    """Take off a VM what it was before it was locked, whichever release noted it. Returns the level of the
    lock that it had from its user; 0 for none.
    """
    user = attributes(frontend.vm(vm_id), "USER_TEMPLATE")
    if unlocked(user):
        frontend.update_vm(vm_id, unlocked(user))
    return user_lock(user)


def let_go(frontend: FrontEnd, vm_id: int) -> str:
    """The same, and put the user's lock back, as oneadmin's: oned lets no other lock in a user's name.
    Returns what was done, for people; empty for nothing. Reads back.
    """
    level = forget_locked_state(frontend, vm_id)
    if not level:
        return ""
    frontend.call("vm.lock", vm_id, level, False)  # last: a locked VM takes no attributes
    if frontend.vm(vm_id).find("LOCK") is None:
        raise OneDRError(f"VM {vm_id} is not locked again as it was; onevm lock {vm_id}")
    return ", locked as before by oneadmin (onevm unlock)"


def _resume(there: FrontEnd, vm_id: int, limit_s: float) -> None:
    for _ in attempts(limit_s, _PAUSE_S):
        element = there.vm(vm_id)
        state = opennebula_objects.vm_state(element), number(element, "LCM_STATE")
        if state == ("ACTIVE", _RUNNING):
            return
        if state[0] == "POWEROFF":
            _asked(there, "resume", vm_id)
    raise TimedOutError(f"VM {vm_id} did not run again in time; onevm show {vm_id} at its site tells why")
