"""The OpenNebula release of a front-end, without calling oned.

`remotes/VERSION` exists since long before 6.10: `onehost sync` compares it with the hosts' copy (source:
OpenNebula src/im_mad/remotes/VERSION and install.sh, read in 6.10.0 to 7.4.0).
"""
from __future__ import annotations

import re
from pathlib import Path

from onedr.model.errors import InputError


def installed_release(remotes: Path) -> str:
    """The release in the front-end's folders, such as 7.4.0; empty without the file.

    Raises InputError for an invalid one.
    """
    file = remotes / "VERSION"
    try:
        text = file.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    if not re.fullmatch(r"\d+\.\d+(\.\d+)*[-.\w]*", text):
        raise InputError(
            f"{file} contains {text[:40]!r}, which is not a release of OpenNebula. Restore the file first."
        )
    return text


def series(release: str) -> str:
    """`7.4` of `7.4.0`."""
    return ".".join(release.split(".")[:2])
