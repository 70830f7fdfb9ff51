"""One VMM action: settings from the configuration; exit code and text in the form that oned expects."""
from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.guest.actions import ACTIONS
from sandbox.guest.machine import Settings
from sandbox.waiting import SandboxError


def run(action: str, argv: list[str], conf: Mapping[str, str]) -> int:
    """Carry an action out; exit code 1 and one line on standard error when it fails."""
    # oned runs its drivers at nice 19; libvirt would start QEMU at its own priority.
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    try:
        if action not in ACTIONS:
            raise SandboxError(f"the sandbox's VMM has no action {action}")
        answer = ACTIONS[action](_settings(conf), argv)
    except SandboxError as e:
        print(f"{action}: {e}", file=sys.stderr)
        return 1
    except IndexError:
        print(f"{action}: too few arguments: {argv}", file=sys.stderr)
        return 1
    if answer:
        print(answer)
    return 0


def _settings(conf: Mapping[str, str]) -> Settings:
    try:
        site = Path(conf["SANDBOX_SITE"])
        ceph_conf = conf["CEPH_CONF"]
    except KeyError as e:
        raise SandboxError(f"{e.args[0]} is neither in the environment nor in etc/sandbox-vmm.conf") from e
    return Settings(
        guests=site / "vm", ceph_conf=ceph_conf, ceph_user=conf.get("CEPH_USER", "oneadmin"),
        environment={"SANDBOX_SITE": str(site)}, netns=_other_netns(conf.get("SANDBOX_NETNS", "")),
    )


def _other_netns(path: str) -> str:
    """The namespace to enter, empty when this process is in it already (or none is configured)."""
    if not path or not Path(path).exists():
        return ""
    here, there = os.stat("/proc/self/ns/net"), os.stat(path)
    return "" if os.path.samestat(here, there) else path
