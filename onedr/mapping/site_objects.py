"""What a live site has that a mapping can name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onedr.failover import target_site
from onedr.model.types import Settings
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.nics import Network


@dataclass(frozen=True)
class SiteObjects:
    """A site's name, and its objects: ids by section and name. `networks`: with their ranges."""

    site: str
    names: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    networks: Mapping[str, Network] = field(default_factory=dict)


def collect(frontend: FrontEnd, site: str, settings: Settings) -> SiteObjects:
    """Read them. Raises FrontEndError."""
    here = target_site.counterparts(frontend, settings)
    return SiteObjects(
        site,
        {
            "networks": {name: each.network_id for name, each in here.networks.items()},
            "security_groups": {name: found[0].object_id for name, found in here.security_groups.items()},
            "users": frontend.users(),
            "groups": frontend.groups(),
            **target_site.places(frontend),
            "vm_groups": {name: found[0].object_id for name, found in here.vm_groups.items()},
            "files": {name: found[0].object_id for name, found in here.files.items()},
        },
        here.networks,
    )
