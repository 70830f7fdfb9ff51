"""rbd-mirror as a service of this machine: the packaged unit ceph-rbd-mirror@.service."""
from __future__ import annotations

from pathlib import Path

from onedr.host import process
from onedr.host.process import ProcessError

RUNTIME_FOLDER = Path("/run/systemd/system")  # exists while systemd manages this machine: sd_booted(3)
_TEMPLATE = "ceph-rbd-mirror@.service"
_FOLDERS = (Path("/etc/systemd/system"), Path("/usr/lib/systemd/system"), Path("/lib/systemd/system"))
_CONF = ("", "/etc/ceph/ceph.conf")  # the one that the unit reads
_LIMIT_S = 90


def mirror_unit(conf: str, entity: str) -> str:
    """The unit that runs rbd-mirror as this user here.

    Empty when there is no systemd or rbd-mirror, or the unit reads another cluster's configuration.
    """
    packaged = any((folder / _TEMPLATE).exists() for folder in _FOLDERS)
    return (
        f"ceph-rbd-mirror@{entity.removeprefix('client.')}.service"
        if RUNTIME_FOLDER.is_dir() and packaged and conf in _CONF
        else ""
    )


def manual_hint(conf: str, entity: str) -> str:
    """How to start rbd-mirror where this machine's systemd cannot."""
    if conf in _CONF:
        service = f"ceph-rbd-mirror@{entity.removeprefix('client.')}"
        start = f"systemctl enable --now {service}"
    else:
        start = f"CEPH_CONF={conf} rbd-mirror -f -n {entity}"
    keyring = f"/etc/ceph/ceph.{entity}.keyring"
    return (
        f"On a machine of this site with package rbd-mirror: ceph auth get {entity} -o {keyring}, owned by "
        f"ceph, mode 0600; then {start}."
    )


def is_active(unit: str) -> bool:
    """Is the unit active, and enabled at boot?"""
    try:
        process.run_program(["systemctl", "is-active", "--quiet", unit], _LIMIT_S)
        process.run_program(["systemctl", "is-enabled", "--quiet", unit], _LIMIT_S)
    except ProcessError:
        return False
    return True


def start_unit(unit: str) -> None:
    """Enable and start the unit; restart it when it runs. Raises ProcessError."""
    process.run_program(["systemctl", "enable", "--quiet", unit], _LIMIT_S)
    process.run_program(["systemctl", "restart", unit], _LIMIT_S)


def stop_unit(unit: str) -> None:
    """Stop and disable the unit. Raises ProcessError."""
    process.run_program(["systemctl", "disable", "--now", "--quiet", unit], _LIMIT_S)
