"""etc/oned.conf and its neighbours: which drivers exist, and the values oned takes from there."""
from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from sandbox.frontend.objects.templates import Template, Vector, parse

DEFAULT_MONITORING_SECONDS = 300.0
DEFAULT_THREADS = 15


@dataclass(frozen=True)
class DriverOptions:
    """What a MAD line says in ARGUMENTS."""

    threads: int
    names: tuple[str, ...]
    system_names: tuple[str, ...]
    timeout: float | None


class Config:
    """oned.conf as oned reads it at start: later edits need a restart."""

    def __init__(self, location: Path) -> None:
        self.location = location
        self.template: Template = parse((location / "etc" / "oned.conf").read_text())

    def names(self, attribute: str) -> list[str]:
        """Values of a repeated single attribute, e.g. IMAGE_RESTRICTED_ATTR."""
        return [value for value in self.template.get(attribute, []) if isinstance(value, str)]

    def driver_conf(self, attribute: str, name: str) -> Vector | None:
        """The TM_MAD_CONF or DS_MAD_CONF of a driver."""
        for vector in self.template.vectors(attribute):
            if vector.get("NAME", "").lower() == name.lower():
                return vector
        return None

    def vm_mad(self, name: str) -> Vector | None:
        """The VM_MAD line of this name."""
        return self.driver_conf("VM_MAD", name)

    def im_mad(self, name: str) -> Vector | None:
        """The IM_MAD line of this name."""
        return self.driver_conf("IM_MAD", name)

    def options(self, attribute: str) -> DriverOptions:
        """Threads, driver lists and time limit of TM_MAD or DATASTORE_MAD."""
        words = shlex.split((self.template.vector(attribute) or {}).get("ARGUMENTS", ""))
        given = {word: words[place + 1] for place, word in enumerate(words[:-1]) if word.startswith("-")}
        limit = given.get("-w")
        return DriverOptions(
            threads=int(given.get("-t", DEFAULT_THREADS)),
            names=_list(given.get("-d", "")),
            system_names=_list(given.get("-s", "shared,ssh,ceph")),
            timeout=float(limit) if limit else None,
        )

    @property
    def hostname(self) -> str:
        """How the front-end is named in transfer commands."""
        return self.template.text("HOSTNAME", "127.0.0.1")

    def seconds(self, attribute: str, default: float) -> float:
        """An interval; fractions are allowed here for tests."""
        text = self.template.text(attribute)
        return float(text) if text else default

    def default_prefix(self, attribute: str) -> str:
        """DEFAULT_DEVICE_PREFIX and the like."""
        return self.template.text(attribute, "sd")

    def hook_log_retention(self) -> int:
        """Execution records kept per hook."""
        return int((self.template.vector("HOOK_LOG_CONF") or {}).get("LOG_RETENTION", "20"))

    def driver_nice(self) -> int:
        """PRIORITY of etc/defaultrc, which datastore drivers run at."""
        path = self.location / "etc" / "defaultrc"
        for line in path.read_text().splitlines() if path.exists() else []:
            key, _, value = line.partition("=")
            if key.strip() == "PRIORITY":
                return int(value.strip().strip('"'))
        return 0

    def live_disk_snapshots(self) -> set[str]:
        """Pairs VMM-TM that etc/vmm_exec/vmm_execrc allows to snapshot a running VM's disk."""
        path = self.location / "etc" / "vmm_exec" / "vmm_execrc"
        for line in path.read_text().splitlines() if path.exists() else []:
            key, _, value = line.partition("=")
            if key.strip() == "LIVE_DISK_SNAPSHOTS":
                return set(value.strip().strip('"').split())
        return set()

    def to_xml(self) -> str:
        """Answer of one.system.config."""
        return self.template.to_xml("OPENNEBULA_CONFIGURATION")


def _list(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())
