"""The VMM's actions, called as oned's one_vmm_exec calls the scripts of remotes/vmm/<mad>/.

Arguments are those of the recorded calls (wire/vm/*/NN-vmm-*/argv.txt); each action answers what goes to
standard output. Errors are SandboxError. What a guest of the sandbox has no use for (NICs, reconfiguring a
context) succeeds without effect; what would need more than it offers says so and fails.
"""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Callable

from sandbox.guest.domain import read_disk, read_domain
from sandbox.guest.machine import Machine, Settings
from sandbox.waiting import SandboxError

SHUTDOWN_LIMIT_S = 60
STATES = {"running": "RUNNING", "paused": "SUSPENDED", "inmigrate": "RUNNING", "gone": "POWEROFF"}
SHORT = {"running": "a", "paused": "p", "inmigrate": "a", "gone": "d"}


def deploy(settings: Settings, argv: list[str]) -> str:
    """DEPLOYMENT_FILE HOST VM_ID HOST -> deploy id."""
    domain = read_domain(Path(argv[0]))
    Machine(settings, domain.name).start(list(domain.disks))
    return domain.name


def shutdown(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID HOST VM_ID HOST: orderly, an error when the guest does not end in time."""
    Machine(settings, argv[0]).shutdown(SHUTDOWN_LIMIT_S)
    return ""


def cancel(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID HOST VM_ID HOST: at once."""
    Machine(settings, argv[0]).kill()
    return ""


def save(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID CHECKPOINT HOST VM_ID HOST."""
    Machine(settings, argv[0]).save(Path(argv[1]))
    return ""


def restore(settings: Settings, argv: list[str]) -> str:
    """CHECKPOINT HOST DEPLOY_ID VM_ID HOST -> deploy id."""
    Machine(settings, argv[2]).restore(Path(argv[0]))
    return argv[2]


def attach_disk(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID PATH TARGET DISK_INDEX DRIVER_DATA VM_ID HOST."""
    Machine(settings, argv[0]).attach(replace(read_disk(argv[4], argv[1], ATTACH="YES"), target=argv[2]))
    return ""


def detach_disk(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID PATH TARGET DISK_INDEX VM_ID HOST."""
    Machine(settings, argv[0]).detach(argv[2])
    return ""


def resize_disk(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID DISK_ID SIZE_MB DRIVER_DATA HOST VM_ID HOST."""
    disk = read_disk(argv[3], "", DISK_ID=argv[1])
    Machine(settings, argv[0]).resize(disk.target, int(argv[2]) << 20)
    return ""


def reset(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID HOST VM_ID HOST; also for `reboot`: each record is on the disk before the next is begun."""
    Machine(settings, argv[0]).reset()
    return ""


def poll(settings: Settings, argv: list[str]) -> str:
    """DEPLOY_ID HOST -> STATE=a (running), p (paused), d (gone), e (else); no arguments: `monitor`."""
    if not argv:
        return monitor(settings, argv)
    return f"STATE={SHORT.get(Machine(settings, argv[0]).state(), 'e')}"


def monitor(settings: Settings, argv: list[str]) -> str:
    """-> one line for each VM that runs, as the state probe of a host prints it."""
    lines = []
    for pid_file in sorted(settings.guests.glob("*/pid")):
        machine = Machine(settings, f"one-{pid_file.parent.name}")
        state = STATES.get(machine.state(), "FAILURE")
        if state != "POWEROFF":
            lines.append(f'VM = [ ID="{pid_file.parent.name}", DEPLOY_ID="{machine.name}", STATE="{state}" ]')
    return "\n".join(lines)


def _nothing(settings: Settings, argv: list[str]) -> str:
    return ""


def _missing(what: str) -> Action:
    def refuse(settings: Settings, argv: list[str]) -> str:
        raise SandboxError(f"{what} is not offered by the sandbox's VMM")

    return refuse


Action = Callable[[Settings, "list[str]"], str]
ACTIONS: dict[str, Action] = {
    "deploy": deploy, "shutdown": shutdown, "cancel": cancel, "save": save, "restore": restore,
    "attach_disk": attach_disk, "detach_disk": detach_disk, "resize_disk": resize_disk,
    "reset": reset, "reboot": reset, "poll": poll, "monitor": monitor,
    "attach_nic": _nothing, "detach_nic": _nothing, "update_nic": _nothing, "update_sg": _nothing,
    "prereconfigure": _nothing, "reconfigure": _nothing,
    "resize": _missing("live resize of CPU and memory"), "migrate": _missing("live migration"),
    "migrate_local": _missing("live migration"), "snapshot_create": _missing("a snapshot of the whole VM"),
    "snapshot_revert": _missing("a snapshot of the whole VM"),
    "snapshot_delete": _missing("a snapshot of the whole VM"),
}
