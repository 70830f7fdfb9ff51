"""The facts of a move or failover: both sites, as far as they answer."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import rados
import rbd

from onedr.ceph import parallel, receiving, replay_status
from onedr.ceph.connection import Pool
from onedr.failover import failback_plan, peer_vms, plan_choice, target_site
from onedr.failover.facts import FailoverFacts
from onedr.host import config as host_config
from onedr.host import log
from onedr.model import names
from onedr.model.errors import InputError, OneDRError, RefusedError
from onedr.model.records import ImageFacts
from onedr.model.site_map import Direction
from onedr.model.text import Sentence
from onedr.opennebula import objects as opennebula_objects
from onedr.opennebula.api import FrontEnd
from onedr.opennebula.datastores import Datastore
from onedr.opennebula.vms import PeerVm, Recovered
from onedr.replication import image_claims, image_facts, inventory, map_store, peer_ceph, peer_osds
from onedr.replication.inventory import VmItem
from onedr.runs import journal
from onedr.runs.request import Request
from onedr.runs.state import DRILLS, MOVES

_LIMIT_S = 10
_IN_EVERY_POOL = "rbd_directory"  # an object of every pool with images


@dataclass(frozen=True)
class Collected:
    """Facts, and what they were read from: the peer's Ceph as seen, and this site's front-end."""

    facts: FailoverFacts
    sight: peer_ceph.PeerStatus
    site: target_site.Site


def collect_facts(
    pool: Pool, target: Datastore, frontend: FrontEnd, request: Request, alone: str = ""
) -> Collected:
    """Read everything once; a silent peer costs seconds at the most. `alone`: as `_answering`."""
    images, sight, osds_seen = _read_and_call(pool, target, request)
    with ExitStack() as stack:
        peer, detail = _answering(*stack.enter_context(peer_ceph.peer_pool(sight, pool.access.pool)), alone)
        can_fence, osds = peer is not None, osds_seen(peer)
        children = _children(peer, images) if peer is not None else {}
        split = image_claims.split_images(pool, peer, [image.name for image in images])
        mapping, chosen = map_in_force(pool, target, peer), plan_choice.read(pool, target, request, peer)
    site = target_site.survey(frontend, target.datastore_id, pool, target.settings, mapping)
    last, items = journal.last_run(pool, DRILLS, target.datastore_id), inventory.vms(images, pool.fsid())
    local, recovered = known_here(site, frontend, items)
    there, (command, unknown) = peer_vms.collect_peer_vms(pool.access.pool), _fence_command()
    facts = FailoverFacts(
        datastore=target.name,
        here=pool.fsid(),
        protected=target.settings.protect,
        images=tuple(images),
        peer=sight.peer, peer_detail=detail, can_fence=can_fence,
        registered=frozenset(site.images.keys() - site.half_images),
        recovered=recovered,
        local=local,
        interrupted=last is not None and last.interrupted and last.verb in MOVES,
        paused=receiving.is_paused(pool),
        delay_s=target.settings.delay_s, delay_max_s=target.settings.delay_max_s,
        recover_consistent=target.settings.recover_consistent,
        children=children,
        ground=target_site.placement_here(site, items),
        there=there.vms, there_detail=there.detail,
        split=split,
        behind=_behind(pool),
        drilled=journal.drill_times(pool),
        osds=osds,
        recovery=chosen, gates_passed=plan_choice.gates_passed(last, chosen),
        fence_command=command, fence_unknown=unknown,
    )
    return Collected(facts, sight, site)


def _read_and_call(
    pool: Pool, target: Datastore, request: Request
) -> tuple[list[ImageFacts], peer_ceph.PeerStatus, Callable[[Pool | None], str]]:
    """The images here, and the peer, which is called meanwhile: a dark one then costs its limit once. A dry
    run, which only shows, gives it less time.
    """
    connect_s = peer_ceph.DARK_S if request.dry_run else peer_ceph.LIMIT_S
    probe = peer_ceph.begin_probe(pool, target.settings, connect_s)
    osds_seen = peer_osds.begin_look(pool, connect_s)
    images = image_facts.of_datastore(pool, target)
    return images, probe(images), osds_seen


def known_here(
    site: target_site.Site, frontend: FrontEnd, items: Iterable[VmItem]
) -> tuple[dict[str, PeerVm], dict[str, Recovered]]:
    """VMs here with disks in the pool, by origin, and those with a disk in the datastore that a run made.
    Raises FrontEndError.
    """
    vms = frontend.vms()
    own = opennebula_objects.vms_of_datastore(vms, site.datastore_id)
    return failback_plan.known_here(
        items, target_site.local(vms, site.pool, site.ledger),
        target_site.recovered(own, site.pool, site.ledger),
    )


def _behind(pool: Pool) -> dict[str, int]:
    """What is not known of it is shown as unknown: it decides nothing."""
    try:
        return replay_status.bytes_behind(pool)
    except rbd.Error as error:
        log.warning(f"how far rbd-mirror is behind is not known: {error}")
        return {}


def map_in_force(pool: Pool, target: Datastore, peer: Pool | None) -> Direction | None:
    """The mapping towards this site, by the newest version in either pool; None when there is none.

    Raises InputError for one of other sites, StorageError where only versions in doubt are left.
    """
    stored = map_store.newest(pool, target.name, target.settings, peer)
    for doubt in stored.doubts:
        log.warning(doubt)
    return map_store.direction(stored, pool, target.settings)


def _answering(peer: Pool | None, detail: str, alone: str = "") -> tuple[Pool | None, str]:
    """A peer of which only the monitors answer can neither be read nor fenced: an OSD of its pool is asked.

    `alone`: why the run holds no lease there. Raises RefusedError when the peer answers all the same.
    """
    if peer is None:
        return None, detail
    try:
        peer.io.stat(_IN_EVERY_POOL)
    except rados.ObjectNotFound:
        pass  # it answered
    except rados.Error as error:
        return None, f"{detail}, but its OSDs do not: {error}"
    if alone:
        raise RefusedError(Sentence(
            "The peer's Ceph answers, and a moment ago the run could not get its lease there, so another run "
            f"may be in progress at the peer ({alone}). Nothing was changed; run it again."
        ))
    return peer, detail


def _fence_command() -> tuple[tuple[str, ...], str]:
    """The fence command of onedr.conf, or why it is not known."""
    try:
        return host_config.load_config().fence_command, ""
    except InputError as error:
        return (), str(error)


def _children(there: Pool, images: list[ImageFacts]) -> dict[str, frozenset[str]]:
    """By image that is a copy here, the clones that are read through it at the peer, drills' apart.

    Raises OneDRError for one that cannot be read: what hangs on it is not known then.
    """
    bases = [image.name for image in images if not image.primary and image.vm is None]
    found = {}
    for name, result in parallel.each(bases, lambda name: _read_through(there, name), _LIMIT_S, 16).items():
        if isinstance(result, OneDRError):
            raise OneDRError(f"What is read through {name} at the peer cannot be told: {result}")
        if result:
            found[name] = result
    return found


def _read_through(there: Pool, name: str) -> frozenset[str]:
    try:
        with there.image(name, read_only=True) as image:
            children = [child for child in image.list_children2() if not child["trash"]]
    except rbd.ImageNotFound:
        return frozenset()
    own = [str(child["image"]) for child in children if child["pool"] == there.access.pool]
    return frozenset(child for child in own if names.is_managed(child))
