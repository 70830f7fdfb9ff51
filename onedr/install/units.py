"""Notifying systemd of installed and removed units."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from onedr.host import systemd
from onedr.install.manifest import FileChange
from onedr.install.tree import TIMER, UNITS

_LIMIT_S = 60


def after_install(changes: Iterable[FileChange]) -> list[str]:
    """Reload systemd and start the timer, when units were installed or changed.

    Returns what must be done manually.
    """
    if not _touched(changes) or not systemd.RUNTIME_FOLDER.is_dir():
        return []
    return [*_systemctl("daemon-reload"), *_systemctl("start", TIMER)]


def before_removal(changes: Iterable[FileChange]) -> list[str]:
    """Stop the timer before its file is removed: otherwise it would keep starting a missing program."""
    return _systemctl("stop", TIMER) if _touched(changes) and systemd.RUNTIME_FOLDER.is_dir() else []


def removed(changes: Iterable[FileChange]) -> list[str]:
    """Reload systemd after units were removed."""
    return _systemctl("daemon-reload") if _touched(changes) and systemd.RUNTIME_FOLDER.is_dir() else []


def _touched(changes: Iterable[FileChange]) -> bool:
    return any(change.path.name in UNITS and change.verb != "keep" for change in changes)


def _systemctl(*words: str) -> list[str]:
    """Returns nothing when it succeeded, else what to type.

    Units are optional: their failure does not stop an installation.
    """
    argv = ["systemctl", *words]
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=_LIMIT_S)
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", b"") or b""
        reason = " ".join(message.decode(errors="replace").split()) or str(error)
        return [f"systemctl failed ({reason}). To do: {' '.join(argv)}."]
    return []
