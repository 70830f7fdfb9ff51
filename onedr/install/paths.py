"""The folders of an OpenNebula front-end.

Source: OpenNebula 7.4.0 `install.sh` (the same in 6.10, 7.0 and 7.2). A self-contained front-end has
everything below `$ONE_LOCATION`; a packaged one uses /etc/one, /var/lib/one and /usr/lib/one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onedr.host.paths import front_end_paths
from onedr.model.errors import InputError

_UNITS = Path("/etc/systemd/system")


@dataclass(frozen=True)
class Paths:
    """The folders of one front-end."""

    etc: Path
    var: Path
    lib: Path
    bin: Path
    share: Path
    units: Path | None = None  # systemd's folder, when it starts a packaged front-end

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Paths:
        """The tree below `$ONE_LOCATION`, or the system-wide one."""
        location, known = environment.get("ONE_LOCATION", ""), front_end_paths(environment)
        if not location:
            units = _UNITS if _UNITS.is_dir() else None
            return cls(
                known.etc, known.var, Path("/usr/lib/one"), Path("/usr/bin"), Path("/usr/share"), units
            )
        root = Path(location)
        if not root.is_absolute():
            raise InputError(f"ONE_LOCATION is {location!r}: it must be an absolute path.")
        return cls(known.etc, known.var, root / "lib", root / "bin", root / "share")

    @property
    def remotes(self) -> Path:
        return self.var / "remotes"

    @property
    def hooks(self) -> Path:
        """Where a relative COMMAND of a hook is looked up; ours are absolute (docs/opennebula-facts.md O23).
        """
        return self.remotes / "hooks"

    @property
    def oned_conf(self) -> Path:
        return self.etc / "oned.conf"

    @property
    def vmm_execrc(self) -> Path:
        return self.etc / "vmm_exec" / "vmm_execrc"

    @property
    def manifest(self) -> Path:
        """The record of installed files."""
        return self.lib / "onedr" / "installed.json"

    def require_opennebula(self) -> None:
        """Raise InputError when there is no OpenNebula in the tree."""
        for path, kind in ((self.oned_conf, "file"), (self.remotes, "folder")):
            if not (path.is_file() if kind == "file" else path.is_dir()):
                raise InputError(
                    f"There is no {kind} {path}: no OpenNebula front-end is installed here."
                    " Install it first, or set ONE_LOCATION to the folder of a self-contained one."
                )
