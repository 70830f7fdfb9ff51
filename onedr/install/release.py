"""The OpenNebula release of a front-end, without calling oned.

`remotes/VERSION` exists since long before 6.10: `onehost sync` compares it with the hosts' copy (source:
OpenNebula src/im_mad/remotes/VERSION and install.sh, read in 6.10.0 to 7.4.0).
"""

from __future__ import annotations

import re

from onedr.install.paths import Paths
from onedr.model.errors import InputError, RefusedError

# For each of these the drivers' protocol, oned.conf and the API were checked, and an installation is tested.
KNOWN = ("6.10", "7.0", "7.2", "7.4")


def installed(paths: Paths) -> str:
    """The release in the front-end's folders, such as 7.4.0; empty without the file.

    Raises InputError for an invalid one.
    """
    file = paths.remotes / "VERSION"
    try:
        text = file.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    if not re.fullmatch(r"\d+\.\d+(\.\d+)*[-.\w]*", text):
        raise InputError(
            f"{file} contains {text[:40]!r}, which is not a release of OpenNebula. Restore the file first."
        )
    return text


def require_known(paths: Paths, force: bool) -> str:
    """A sentence about the release. Raises RefusedError for an untested one, unless `force`."""
    found = installed(paths)
    if found and ".".join(found.split(".")[:2]) in KNOWN:
        return f"OpenNebula {found}."
    name = (
        f"is OpenNebula {found}"
        if found
        else f"has an unknown release (there is no {paths.remotes / 'VERSION'})"
    )
    if force:
        return (
            f"The front-end {name}; OneDR was made for {', '.join(KNOWN)}. Continuing because of "
            "--force-version."
        )
    raise RefusedError(
        f"The front-end {name}; OneDR was made for {', '.join(KNOWN)}. Nothing was changed. Use a version of "
        "OneDR that supports this release, or add --force-version and test every operation before relying "
        "on it."
    )
