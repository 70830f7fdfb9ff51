"""Which releases of OpenNebula OneDR was made for."""

from __future__ import annotations

from onedr.host.release import installed_release, series
from onedr.install.paths import Paths
from onedr.model.errors import RefusedError

# For each of these the drivers' protocol, oned.conf and the API were checked, and an installation is tested.
KNOWN = ("6.10", "7.0", "7.2", "7.4")


def require_known(paths: Paths, force: bool) -> str:
    """A sentence about the release. Raises RefusedError for an untested one, unless `force`."""
    found = installed_release(paths.remotes)
    if found and series(found) in KNOWN:
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
