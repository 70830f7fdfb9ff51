"""The table of recorded cases that are replayed, and the ones that are not, with the reason."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from contract_site import Site

Play = Callable[[Site], None]


@dataclass(frozen=True)
class Case:
    """A recorded case and how to play it."""

    name: str
    play: Play
    before: Callable[[Site], object] | None = None
    """Brings about what the case starts from; not compared."""
    extra_hooks: tuple[str, ...] = ()
    """Labels noted in the recording that belong to the operation before it."""
    missing_hooks: tuple[str, ...] = ()
    ignore: tuple[str, ...] = field(default=())
    """Paths of driver data that need not agree."""


CASES: dict[str, Case] = {}


def case(name: str, before: Callable[[Site], object] | None = None, noise: tuple[str, ...] = (), missing: tuple[str, ...] = (),
         ignore: tuple[str, ...] = ()) -> Callable[[Play], Play]:
    """Register a case."""
    def register(play: Play) -> Play:
        assert name not in CASES, name
        CASES[name] = Case(name, play, before, noise, missing, ignore)
        return play
    return register


COVERED_ELSEWHERE: dict[str, str] = {
    "ds/image-ds-monitor": "test_drivers.py",
    "ds/system-ds-monitor": "test_drivers.py",
}

_BACKUP = "backups are not supported by the stand-in"
UNSUPPORTED: dict[str, str] = {
    "ds/ds-export": "marketplaces are not supported by the stand-in",
    "ds/ds-restore": _BACKUP,
    "ds/ds-rm-backup": _BACKUP,
    "vm/vm-backup-dummyvmm": _BACKUP,
    "vm/vm-backup-exec": _BACKUP,
    "hooks/vm-ACTIVE-BACKUP": _BACKUP,
    "hooks/api-one.vm.backup": _BACKUP,
    "hooks/api-one.image.restore": _BACKUP,
    "errors/err-image-delete-inuse-force": "was skipped in the recording",
}
