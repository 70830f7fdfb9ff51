"""`onedr map`: show, draft, set. A set is written whole into both pools, or into this one and handed on
later.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from onedr.ceph import connection
from onedr.ceph.connection import Pool
from onedr.check import collect_front_ends
from onedr.host import log
from onedr.mapping import site_objects
from onedr.mapping.draft import Drafting, draft
from onedr.mapping.site_objects import SiteObjects
from onedr.model.errors import InputError, OneDRError
from onedr.model.site_map import WORDS, Name, SiteMap
from onedr.model.text import closest
from onedr.opennebula import uses
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.replication import image_facts, inventory, map_store, set_version, signed_versions, site_info
from onedr.replication.map_store import Version
from onedr.runs.answer_events import MapEvent
from onedr.runs.request import Request

_SHOWN = 5


def show(target: Datastore, wanted: str = "") -> MapEvent:
    """The mapping in force, or the version `wanted`, and the versions there are. Raises InputError,
    StorageError.
    """
    with connection.connect(target.access) as pool, ExitStack() as stack:
        peer = set_version.open_peer(pool, target, stack)
        stored = map_store.newest(pool, target.name, target.settings, peer)
    chosen = set_version.chosen(stored, wanted)
    if wanted and chosen is None:
        raise InputError(
            f"There is no version {wanted} of the mapping; onedr map {target.name} --versions lists them."
        )
    return MapEvent(
        target.name,
        chosen.text if chosen else "",
        chosen.number if chosen else 0,
        tuple(map(set_version.shown, stored.versions)),
        stored.doubts,
    )


def make_draft(target: Datastore, frontend: FrontEnd) -> MapEvent:
    """A draft from both live sites, the mapping in force and the short form. Raises OneDRError."""
    with connection.connect(target.access) as pool, ExitStack() as stack:
        peer = set_version.open_peer(pool, target, stack)
        stored = map_store.newest(pool, target.name, target.settings, peer)
        own = signed_versions.site_name(pool, target.settings)
        here = site_objects.collect(frontend, own, target.settings)
        name = _peer_name(pool, peer, target, stored.newest, here.site)
        there, answers = _there(target, name)
        used = _used(pool, target, here.site, name, stored.newest)
    settings = target.settings
    short = {"networks": dict(settings.network_map), "security_groups": dict(settings.security_group_map)}
    current = stored.newest.body if stored.newest is not None else None
    text = draft(Drafting(target.name, here, there, answers, current, short, used))
    return MapEvent(target.name, text, stored.newest.number if stored.newest else 0, draft=True)


def set_map(target: Datastore, request: Request, text: str, frontend: FrontEnd) -> MapEvent:
    """Read the file, check its names against the sites that answer, write a new version, and journal it.

    Raises InputError before anything is changed, RunInProgressError while a run is in progress.
    """
    from onedr.mapping import map_file  # needs PyYAML, which nothing else does

    with connection.connect(target.access) as pool:
        site = signed_versions.site_name(pool, target.settings)
        found = map_file.read(text, site)
        other = next(name for name in found.sites if name != site)
        there, answers = _there(target, other)
        seen = [site_objects.collect(frontend, site, target.settings), *([there] if answers else [])]
        _refuse_unknown(found, seen)
        version, alone = set_version.set_version(
            pool, target, map_store.MAPPINGS, "", request, text,
            lambda before: SiteMap(found.sites, found.sections, _ids(before, seen)),
        )
    warnings = () if answers else (f"the names of {other} were not checked: its front-end does not answer",)
    log.info(f"mapping version {version.number} set by {request.by}: {len(version.changes)} lines changed")
    shown = (set_version.shown(version),)
    return MapEvent(target.name, text, version.number, shown, (*warnings, *alone), written=True)


def _peer_name(pool: Pool, peer: Pool | None, target: Datastore, stored: Version | None, here: str) -> str:
    """Name of the other site: as it published it, as records say, or as the mapping in force has it."""
    if peer is not None:
        there = signed_versions.name_there(target.name, target.settings)
        published = site_info.read_site_info(peer).get(there)
        return published.site if published is not None else peer.fsid()[:8]
    for image in image_facts.of_datastore(pool, target):
        for record in (image.vm, image.image):
            if record is not None and record.fsid != pool.fsid() and not record.doubt:
                return record.site
    if stored is not None:
        return next(name for name in stored.body.sites if name != here)
    raise InputError(
        "The name of the other site is not known: its Ceph does not answer, and no record here is from "
        "there. Draft the mapping when it answers."
    )


def _there(target: Datastore, name: str) -> tuple[SiteObjects, bool]:
    """What the other site has, and whether its front-end answered."""
    try:
        view = collect_front_ends.peer_front_end(target)
        if view.settings is not None:
            return site_objects.collect(view.frontend, name, view.settings), True
    except OneDRError as error:
        log.warning(f"the peer's front-end is not read: {error}")
    return SiteObjects(name), False


def _used(
    pool: Pool, target: Datastore, here: str, there: str, stored: Version | None
) -> dict[str, dict[str, dict[str, tuple[str, ...]]]]:
    """By site and section, names that protected VMs use, with the VMs' names."""
    found: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {here: {}, there: {}}
    images = image_facts.of_datastore(pool, target)
    for site, other, own in ((here, there, True), (there, here, False)):
        towards = None
        if stored is not None and other in stored.body.sites:
            towards = stored.body.towards(other)
        for item in inventory.vms(images, pool.fsid(), own):
            for use in uses.of_vm(item.record, towards):
                names = found[site].setdefault(use.section, {})
                names[use.name] = (*names.get(use.name, ()), item.record.name)
    return found


def _refuse_unknown(found: SiteMap, sites: list[SiteObjects]) -> None:
    """Names that a site which answers does not have are typing errors, or to be created first."""
    trouble = []
    for site in sites:
        at = found.sites.index(site.site)
        for section, entries in found.sections.items():
            names = site.names.get(section, {})
            for entry in entries:
                drill = (entry.drill[at],) if entry.drill[at] else ()
                trouble += [
                    (entry.line, _unknown(section, name, names, site.site))
                    for name in (*entry.names[at], *drill)
                    if not _exists(name, names, site, section)
                ]
    if trouble:
        more = f"; and {len(trouble) - _SHOWN} more" if len(trouble) > _SHOWN else ""
        shown = "; ".join(f"line {line}: {text}" for line, text in sorted(trouble)[:_SHOWN])
        raise InputError(f"The mapping cannot be used, nothing was changed: {shown}{more}")


def _exists(name: Name, names: Mapping[str, int], site: SiteObjects, section: str) -> bool:
    if isinstance(name, str):
        return name in names
    twins = [twin.network_id for first in site.networks.values() for twin in first.twins]
    return name in names.values() or (section == "networks" and name in twins)


def _unknown(section: str, name: Name, names: Mapping[str, int], site: str) -> str:
    return (
        f"{section}: there is no {WORDS[section]} {name} at "
        f"{site}{closest(str(name), names).rstrip('.')}"
    )


def _ids(before: Version | None, sites: list[SiteObjects]) -> dict[str, dict[str, dict[str, int]]]:
    """Ids of what requirements may name, of each site as it was last seen."""
    known = (
        {site: {key: dict(each) for key, each in ids.items()} for site, ids in before.body.ids.items()}
        if before
        else {}
    )
    for site in sites:
        known[site.site] = {
            section: dict(site.names.get(section, {}))
            for section in ("clusters", "hosts", "system_datastores")
        }
    return known
