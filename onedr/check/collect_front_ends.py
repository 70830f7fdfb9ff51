"""Facts for `onedr check` from the front-ends: this one, and the peer's when `onedr.conf` names it."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lxml import etree

from onedr.ceph.connection import Pool
from onedr.check.facts import SiteFacts, TargetFacts
from onedr.failover import failback_plan, target_site
from onedr.host import bridge, paths
from onedr.host import config as host_config
from onedr.model import settings as model_settings
from onedr.model import template
from onedr.model.errors import FrontEndError, InputError, OneDRError
from onedr.model.site_map import Direction
from onedr.model.types import HOOK_PREFIX, Settings
from onedr.opennebula import datastores, own_marks, xmlrpc
from onedr.opennebula.acls import read_rules
from onedr.opennebula.api import FrontEnd, attributes, ids_by_name, number
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.nics import ADMINS, Owned
from onedr.opennebula.quotas import read_quotas
from onedr.rejoin import boot_guard
from onedr.replication import encryption, ledger
from onedr.replication.inventory import VmItem
from onedr.sunstone import run as sunstone_run
from onedr.sunstone.whole_rules import Wholeness

_LIMIT_S = 3.0  # of every call to a front-end
# installed by install.sh
_GUARD = Path("/etc/systemd/system/opennebula.service.requires/onedr-guard.service")



@dataclass(frozen=True)
class PeerView:
    """The peer's front-end, and the DR_ settings of this datastore there
    (None: it has no datastore of this pool).
    """

    frontend: FrontEnd
    settings: Settings | None
    datastore_id: int = -1


def front_end() -> FrontEnd:
    """This site's front-end, with a limit for each call. Raises FrontEndError."""
    return FrontEnd(limit_s=_LIMIT_S)


def peer_front_end(datastore: Datastore) -> PeerView:
    """Find the datastore of the same pool at the peer's front-end.

    Raises OneDRError when the front-end is not configured or does not answer.
    """
    known = _peer()
    there = FrontEnd(known.peer_endpoint, known.peer_session, _LIMIT_S)
    wanted = datastore.settings.peer_datastore or datastore.name
    found, found_id = None, -1
    for element in datastores.elements(there):
        pairs = attributes(element)
        if (
            template.get(pairs, "POOL_NAME", "one") == datastore.access.pool
            and element.findtext("NAME") == wanted
        ):
            found, found_id = model_settings.read_settings(pairs, wanted), number(element, "ID")
    return PeerView(there, found, found_id)


def _peer() -> host_config.Configuration:
    known = host_config.load_config()
    if not known.peer_endpoint:
        raise InputError(f"the peer's front-end is not configured (peer.endpoint in {host_config.path()})")
    return known


def front_end_clock() -> tuple[float, float]:
    """The least and the most by which the peer's clock is ahead, in seconds.

    Raises InputError, FrontEndError.
    """
    known = _peer()
    here = bridge.bridge_session()
    if here is not None:
        least, most = here.call("peer_clock")[0]
        return float(least), float(most)
    try:
        return xmlrpc.server_clock(known.peer_endpoint, _LIMIT_S)
    except xmlrpc.TransportError as error:
        raise FrontEndError(
            f"the peer's front-end at {known.peer_endpoint} does not report its time ({error})"
        ) from error


def target(
    frontend: FrontEnd, settings: Settings, pool: Pool, fsid: str, items: Sequence[VmItem], own: bool,
    mapping: Direction | None = None, datastore_id: int = -1,
) -> TargetFacts:
    """What a site offers to start these VMs; `mapping`: towards it.

    `own`: it is this one, and the pool's ledger is its; else `pool` gives the name only, and `fsid` is that
    site's cluster. Raises FrontEndError.
    """
    users, groups = frontend.user_pool(), frontend.group_pool()
    vms, hosts, images = frontend.vms(), frontend.hosts(), frontend.images()
    registered = {
        (image.findtext("SOURCE") or "").rpartition("/")[2]: number(image, "ID") for image in images
    }
    site = target_site.Site(
        frontend, datastore_id, pool, fsid, settings, ids_by_name(users.iterfind("USER")),
        ids_by_name(groups.iterfind("GROUP")), target_site.counterparts(frontend, settings, mapping),
        images=registered, quotas=read_quotas(users, groups),
    )
    known = ledger.read_ledger(pool) if own else ledger.Ledger({}, {}, {})
    local, recovered = failback_plan.known_here(
        items, target_site.local_of(vms, pool.access.pool, fsid, known),
        target_site.recovered(vms, pool, known),
    )
    return TargetFacts(
        placement=target_site.placement_here(site, items),
        users=frozenset(site.users),
        groups=frozenset(site.groups),
        fsid=fsid,
        local=local,
        recovered=recovered,
        models=_words(hosts, "KVM_CPU_MODELS"),
        machines=_words(hosts, "KVM_MACHINES"),
        registered=frozenset(registered),
        image_names=frozenset(
            (image.findtext("UNAME") or "", image.findtext("NAME") or "") for image in images
        ),
        names=_names_of(site),
        rules=read_rules(frontend.rules(), site.users, site.groups),
    )


def _names_of(site: target_site.Site) -> dict[str, Mapping[str, int]]:
    """Ids by name of all that a mapping can name, by its sections."""
    here = site.counterparts
    return {
        "users": site.users, "groups": site.groups, **target_site.places(site.frontend),
        "networks": {name: each.network_id for name, each in here.networks.items()},
        "security_groups": _first_ids(here.security_groups), "vm_groups": _first_ids(here.vm_groups),
        "files": _first_ids(here.files),
    }


def _first_ids(objects: Mapping[str, Sequence[Owned]]) -> dict[str, int]:
    return {name: found[0].object_id for name, found in objects.items()}


def _words(hosts: Iterable[etree._Element], key: str) -> frozenset[str] | None:
    """All words of an attribute that hosts report; None when no host reports it."""
    found = [template.get(attributes(host), key) for host in hosts]
    return frozenset(word for text in found for word in text.split()) if any(found) else None


def disk_drivers(frontend: FrontEnd) -> tuple[str, ...]:
    """VM_MAD of the hosts. Raises FrontEndError."""
    return tuple(sorted({str(host.findtext("VM_MAD")) for host in frontend.hosts()}))


def networks(frontend: FrontEnd) -> dict[str, bool]:
    """Names and ids of the virtual networks; False: a name that no admins' one has. Raises FrontEndError."""
    found: dict[str, bool] = {}
    for element in frontend.networks():
        name = str(element.findtext("NAME"))
        of_admins = ADMINS in (element.findtext("UNAME"), element.findtext("GNAME"))
        found.update({str(element.findtext("ID")): True, name: of_admins or found.get(name, False)})
    return found


def is_guarded(datastore: Datastore) -> bool:
    """Is the datastore on the guard's list? Raises InputError where that is unknown."""
    if bridge.bridge_session() is not None:
        raise InputError("the list is on the front-end, but this runs on a bridge host")
    return datastore.name in {known.name for known in boot_guard.datastores()}


def own_key() -> str:
    """Fingerprint of the record key; empty when there is none. Raises RecordError for a bad one."""
    return encryption.fingerprint(encryption.load_key(paths.front_end_paths().record_key))


def site(frontend: FrontEnd, known: Callable[[str, Callable[[], object]], object]) -> SiteFacts:
    """Facts of the whole front-end; `known` turns failures into Unknown."""
    sources: dict[str, Callable[[], object]] = {
        "oned": frontend.release,
        "configuration": _configuration,
        "key": own_key,
        "peer_front_end": _peer_answers,
        "hooks": lambda: _hooks(frontend),
        "unrestricted": lambda: _unrestricted(frontend),
        "guard_unit": _GUARD.exists,
        "sunstone": _sunstone,
        "datastores": lambda: tuple(_protected_names(frontend)),
        "fence_command": _fence_command,
    }
    return replace(SiteFacts(), **{name: known(name, source) for name, source in sources.items()})  # type: ignore[arg-type]


def _configuration() -> str:
    host_config.load_config()
    return str(host_config.path())


def _sunstone() -> Wholeness | None:
    try:
        return sunstone_run.look(sunstone_run.folders())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {error.strerror}") from error


def _fence_command() -> tuple[str, bool]:
    words = host_config.load_config().fence_command
    return (words[0], os.access(words[0], os.X_OK)) if words else ("", False)


def _peer_answers() -> str:
    known = host_config.load_config()
    if known.peer_endpoint:
        FrontEnd(known.peer_endpoint, known.peer_session, _LIMIT_S).call("user.info", -1)
    return known.peer_endpoint


def _hooks(frontend: FrontEnd) -> int:
    return sum(1 for hook in frontend.hooks() if (hook.findtext("NAME") or "").startswith(HOOK_PREFIX))


def _unrestricted(frontend: FrontEnd) -> tuple[str, ...]:
    """Marks of OneDR's that the running oned does not restrict, as `LIST VALUE`."""
    configuration = frontend.configuration()
    return tuple(
        f"{name} {mark}" for name, marks in own_marks.RESTRICTED.items() for mark in marks
        if mark not in {found.text for found in configuration.iterfind(name)}
    )


def listed(frontend: FrontEnd) -> list[tuple[int, str]]:
    """(id, name) of each datastore with DR_PROTECT=YES, also with bad attributes.

    Raises FrontEndError.
    """
    return [
        (number(element, "ID"), str(element.findtext("NAME"))) for element in datastores.elements(frontend)
        if template.get(attributes(element), "DR_PROTECT").upper() == "YES"
    ]


def _protected_names(frontend: FrontEnd) -> list[str]:
    return [name for _, name in listed(frontend)]


def reason(error: OneDRError) -> str:
    """An error as the reason why a fact is unknown."""
    return str(error).rstrip(".")
