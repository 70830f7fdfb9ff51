"""Telling a running systemd of the units that were laid down or are about to go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from onedr.host import systemd
from onedr.install.manifest import FileChange
from onedr.install.tree import TIMER, UNITS

_LIMIT_S = 60


def after_install(changes: Iterable[FileChange]) -> list[str]:
    """After units came or changed: systemd reads them, the timer begins.

    Returns what is left to be done by hand.
    """
    if not _touched(changes) or not systemd.RUNTIME_FOLDER.is_dir():
        return []
    return [*_systemctl("daemon-reload"), *_systemctl("start", TIMER)]


def before_removal(changes: Iterable[FileChange]) -> list[str]:
    """The timer ends before its file goes: else it would call for ever what is not there any more."""
    return _systemctl("stop", TIMER) if _touched(changes) and systemd.RUNTIME_FOLDER.is_dir() else []


def removed(changes: Iterable[FileChange]) -> list[str]:
    """After the units went."""
    return _systemctl("daemon-reload") if _touched(changes) and systemd.RUNTIME_FOLDER.is_dir() else []


def _touched(changes: Iterable[FileChange]) -> bool:
    return any(change.path.name in UNITS and change.verb != "keep" for change in changes)


def _systemctl(*words: str) -> list[str]:
    """Nothing when it was done; else what to type.

    Units are a comfort: no fault of theirs ends an installation.
    """
    argv = ["systemctl", *words]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=_LIMIT_S)
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", b"") or b""
        reason = " ".join(message.decode(errors="replace").split()) or str(error)
        return [f"systemd did not do it ({reason}). To do: {' '.join(argv)}."]
    return []
