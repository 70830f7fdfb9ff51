"""Which OpenNebula release a front-end has, without asking oned.

`remotes/VERSION` is there since long before 6.10: `onehost sync` compares it with the hosts' (source:
OpenNebula src/im_mad/remotes/VERSION and install.sh, read in 6.10.0 to 7.4.0).
"""

from __future__ import annotations

import re

from onedr.install.paths import Paths
from onedr.model.errors import InputError, RefusedError

# Of each of these the drivers' protocol, oned.conf and the API were read, and an installation is tested.
KNOWN = ("6.10", "7.0", "7.2", "7.4")


def installed(paths: Paths) -> str:
    """The release in the front-end's folders, such as 7.4.0; empty without its file.

    Raises InputError for a strange one.
    """
    file = paths.remotes / "VERSION"
    try:
        text = file.read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""
    if not re.fullmatch(r"\d+\.\d+(\.\d+)*[-.\w]*", text):
        raise InputError(
            f"{file} holds {text[:40]!r}, which is no release of OpenNebula. Restore the file first."
        )
    return text


def require_known(paths: Paths, force: bool) -> str:
    """What is to be said of the release. Raises RefusedError for one nobody tried, unless `force`."""
    found = installed(paths)
    if found and ".".join(found.split(".")[:2]) in KNOWN:
        return f"OpenNebula {found}."
    name = (
        f"is OpenNebula {found}"
        if found
        else f"does not say which OpenNebula it is (there is no {paths.remotes / 'VERSION'})"
    )
    if force:
        return (
            f"The front-end {name}; OneDR was made for {', '.join(KNOWN)}. Going on, as --force-version says."
        )
    raise RefusedError(
        f"The front-end {name}; OneDR was made for {', '.join(KNOWN)}. Nothing was changed. Use an OneDR "
        "that knows this release, or add --force-version and try every operation before relying on it."
    )
