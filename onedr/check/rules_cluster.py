"""Checks of the two clusters and the link between them.

Each yields at least one result. The facts that it needs are known.
"""
from __future__ import annotations

from collections.abc import Iterator

from onedr.check.facts import (
    CheckFacts,
    CheckResult,
    ClusterFacts,
    Mirrors,
    Peering,
    PoolSpace,
    Replicas,
    Unknown,
    known,
    ok,
    problem,
    warn,
)
from onedr.model.text import first_few
from onedr.model.types import MIB, Mode, PeerState
from onedr.protection.enable_plan import JOURNAL_BYTES

CLOCK_S = 5.0  # as recovery.AHEAD_S
SPARE = 10  # percent of a pool that should stay free

STOCK_POLL_S, STOCK_RETRY_S = 5.0, 30.0
POLL, RETRY, DELAY = (
    "rbd_mirror_journal_poll_age", "rbd_mirror_image_state_check_interval", "rbd_mirroring_delete_delay",
)


def both(facts: CheckFacts) -> Iterator[tuple[str, ClusterFacts]]:
    yield "here", facts.here
    yield "at the peer", facts.there


def ceph(facts: CheckFacts) -> Iterator[CheckResult]:
    yield ok(f"this site's Ceph answers (cluster {str(facts.here.fsid)[:8]})")


def peer(facts: CheckFacts) -> Iterator[CheckResult]:
    found, detail = known(facts.peer)
    if found is PeerState.ANSWERS:
        yield ok(f"the peer's Ceph answers ({detail})")
    else:
        todo = "restore its Ceph or the link; if that site is lost and the copies are here: onedr failover"
        yield problem(
            f"the peer's Ceph does not answer ({detail}): nothing is replicated until it does", todo
        )


def readable(facts: CheckFacts) -> Iterator[CheckResult]:
    if facts.readable:
        yield ok("the peer's images can be read from here")
    else:
        yield warn(
            "the peer's images cannot be read from here: replica state is inferred from rbd-mirror's "
            "status, and the guard cannot detect a takeover",
            "ceph auth caps client.<CEPH_USER>: mon 'profile rbd-mirror' beside the others, or set "
            "DR_PEER_CEPH_CONF",
        )


def peering(facts: CheckFacts) -> Iterator[CheckResult]:
    for where, cluster in both(facts):
        if isinstance(cluster.peering, Unknown):
            yield warn(f"{where}: the mirroring of the pool is unknown: {cluster.peering.reason}")
        else:
            yield from _peering(where, cluster.peering)


def _peering(where: str, found: Peering) -> Iterator[CheckResult]:
    if not found.per_image:
        yield problem(f"{where}: the pool does not mirror per image", "rbd mirror pool enable <pool> image")
    elif not found.directions:
        yield problem(
            f"{where}: the pool has no peer",
            "onedr setup --offer FILE, and onedr setup --join FILE at the other site",
        )
    elif "rx-tx" not in found.directions:
        what = ", ".join(found.directions)
        if set(found.directions) == {"tx"}:
            yield problem(
                f"{where}: the pool takes nothing from its peer: replication to it is paused, or one-way",
                "onedr resume-protection <datastore>, if it was paused",
            )
            return
        todo = "import the peer's bootstrap token with --direction rx-tx at both sites"
        yield problem(
            f"{where}: the pool is mirrored in one direction only ({what}), so a failback is not "
            "possible", todo
        )
    else:
        yield ok(f"{where}: the pool mirrors per image, in both directions")


def mirrors(facts: CheckFacts) -> Iterator[CheckResult]:
    for where, cluster in both(facts):
        if isinstance(cluster.mirrors, Unknown):
            yield warn(f"{where}: the state of rbd-mirror is unknown: {cluster.mirrors.reason}")
        else:
            yield _mirrors(where, cluster.mirrors)


def _mirrors(where: str, found: Mirrors) -> CheckResult:
    todo = f"systemctl restart ceph-rbd-mirror.target, {where} (cephadm: ceph orch restart rbd-mirror)"
    if not found.daemons:
        return problem(
            f"{where}: no rbd-mirror daemon is registered with Ceph: nothing is replicated to this side", todo
        )
    if found.images and not found.reported:
        return warn(
            f"{where}: rbd-mirror reports none of {found.images} mirrored images: it died less than a "
            "minute ago, hangs, or has just started",
            f"check again in half a minute; then {todo}",
        )
    if found.reported < found.images:
        return warn(
            f"{where}: rbd-mirror reports {found.reported} of {found.images} mirrored images (each within 30 "
            "s)",
            "check again in half a minute",
        )
    return ok(
        f"{where}: rbd-mirror runs"
        + (f" and reports all {found.images} mirrored images" if found.images else "")
    )


def releases(facts: CheckFacts) -> Iterator[CheckResult]:
    seen = []
    for where, cluster in both(facts):
        if isinstance(cluster.releases, Unknown):
            yield warn(f"{where}: Ceph's release is unknown: {cluster.releases.reason}")
            continue
        seen.append(cluster.releases)
        if len(cluster.releases) > 1:
            yield warn(
                f"{where}: daemons of different releases run ({', '.join(cluster.releases)})",
                "finish the upgrade",
            )
    if len(seen) == 2 and seen[0] != seen[1]:
        text = f"Ceph is {', '.join(seen[0])} here and {', '.join(seen[1])} at the peer"
        if _probed(facts, {*seen[0], *seen[1]}):
            yield ok(f"{text}; the last probe was on both")
        else:
            yield warn(text, "onedr check <datastore> --probe")
    elif len(seen) == 2 and len(seen[0]) == 1:
        yield ok(f"Ceph is {seen[0][0]} at both sites")


def _probed(facts: CheckFacts, releases: set[str]) -> bool:
    """Was the last probe in the datastore's mode on all these releases?"""
    if isinstance(facts.probe_results, Unknown):
        return False
    last = facts.probe_results.get(facts.settings.mode)
    return last is not None and releases <= set(last.releases)


def replicas(facts: CheckFacts) -> Iterator[CheckResult]:
    seen: list[Replicas] = []
    for where, cluster in both(facts):
        if isinstance(cluster.replicas, Unknown):
            yield warn(f"{where}: the pool's size is unknown: {cluster.replicas.reason}")
            continue
        seen.append(cluster.replicas)
        if cluster.replicas.size < 2:
            text = (
                f"{where}: the pool has size {cluster.replicas.size}: losing one disk loses data there"
            )
            yield warn(text, "ceph osd pool set <pool> size 3")
    if len(seen) == 2 and seen[0] != seen[1]:
        yield warn(
            f"the pool has size {seen[0].size} (min {seen[0].min_size}) here and {seen[1].size} (min "
            f"{seen[1].min_size}) at the peer: redundancy will differ after a failover",
            f"ceph osd pool set <pool> size {max(one.size for one in seen)}, where it is smaller",
        )
    elif len(seen) == 2 and seen[0].size > 1:
        yield ok(f"the pool has size {seen[0].size} at both sites")


def data_pool(facts: CheckFacts) -> Iterator[CheckResult]:
    """rbd-mirror makes a copy's data pool the one of the same name; without it all lands in the main pool."""
    if not facts.data_pool:
        yield ok("images have their data in the datastore's own pool")
        return
    for where, cluster in both(facts):
        if facts.data_pool in known(cluster.pools):
            yield ok(f"{where}: there is the data pool {facts.data_pool} (EC_POOL_NAME)")
        else:
            yield problem(
                f"{where}: there is no pool {facts.data_pool} (EC_POOL_NAME): data of copies lands in the "
                "main pool, with its redundancy and room",
                f"ceph osd pool create {facts.data_pool} … erasure; ceph osd pool set {facts.data_pool} "
                "allow_ec_overwrites true",
            )


def namespaces(facts: CheckFacts) -> Iterator[CheckResult]:
    """OpenNebula keeps images in a pool's default namespace; OneDR mirrors nothing else."""
    for where, cluster in both(facts):
        found = known(cluster.namespaces)
        if found:
            yield warn(f"{where}: images in RBD namespaces are not mirrored by OneDR: {first_few(found)}",
                       "docs/limits.md")
        else:
            yield ok(f"{where}: all images are in the pool's default namespace")


def space(facts: CheckFacts) -> Iterator[CheckResult]:
    for where, cluster in both(facts):
        if isinstance(cluster.space, Unknown):
            yield warn(f"{where}: the free space is unknown: {cluster.space.reason}")
        else:
            yield _space(where, cluster.space, _needed(facts, where))


def _needed(facts: CheckFacts, where: str) -> int | None:
    """Bytes that still have to be replicated, at least the journals; None when unknown."""
    images = facts.images
    if isinstance(images, Unknown):
        return None
    journals = JOURNAL_BYTES * sum(1 for image in images if image.mode is Mode.JOURNAL and image.primary)
    missing = 0
    if (
        where != "here"
        and isinstance(facts.here.space, PoolSpace)
        and isinstance(facts.there.space, PoolSpace)
    ):
        missing = (
            max(0, facts.here.space.used - facts.there.space.used)
            if any(image.primary for image in images)
            else 0
        )
    return max(journals, missing)


def _space(where: str, found: PoolSpace, need: int | None) -> CheckResult:
    todo = "add space to the cluster, or delete images"
    if found.alarms:
        return problem(f"{where}: Ceph reports {', '.join(found.alarms)}", todo)
    whole = found.used + found.free
    if not found.free:
        return problem(f"{where}: the pool is full", todo)
    if need is None:
        return warn(f"{where}: {found.free // MIB} MiB are free; whether that is enough is unknown")
    if need > found.free:
        return problem(
            f"{where}: {found.free // MIB} MiB are free, but journals and missing copies may take "
            f"{need // MIB} MiB",
            todo,
        )
    if found.free * 100 < whole * SPARE:
        return warn(
            f"{where}: only {found.free * 100 // whole} % of the pool is free ({found.free // MIB} MiB)",
            todo,
        )
    return ok(f"{where}: {found.free // MIB} MiB are free")


def clock(facts: CheckFacts) -> Iterator[CheckResult]:
    least, most = known(facts.clock_s)
    todo = "timedatectl set-ntp true, at both sites"
    if least > CLOCK_S or most < -CLOCK_S:
        by = f"{least:.0f} s or more ahead of" if least > 0 else f"{-most:.0f} s or more behind"
        yield problem(
            f"the peer's clock is {by} this site's: the ages of recovery points are wrong by that", todo
        )
    elif least >= -CLOCK_S and most <= CLOCK_S:
        yield ok(f"the sites' clocks agree within {max(-least, most):.0f} s")
    else:
        yield warn(
            f"the peer's clock is between {-least:.0f} s behind and {most:.0f} s ahead of ours; it is not "
            "known more exactly",
            "docs/configuration.md: peer.endpoint; chronyc tracking, at both sites",
        )


def objective(facts: CheckFacts) -> Iterator[CheckResult]:
    """The options of the receiving rbd-mirror determine how far copies lag,
    and how long a deletion can be undone.
    """
    for where, cluster in both(facts):
        if isinstance(cluster.settings, Unknown):
            yield warn(f"{where}: rbd-mirror's options are unknown: {cluster.settings.reason}")
        else:
            yield from _objective(
                where, facts, {key: _seconds(cluster.settings.get(key, "")) for key in (POLL, RETRY, DELAY)}
            )


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _objective(where: str, facts: CheckFacts, found: dict[str, float | None]) -> Iterator[CheckResult]:
    unread = [key for key, value in found.items() if value is None]
    if unread:
        yield warn(f"{where}: {', '.join(unread)} cannot be read")
        return
    poll, retry, delay = (float(value or 0) for value in found.values())
    set_ = "ceph config set client.rbd-mirror {} {}"  # of every daemon
    if facts.settings.mode is Mode.JOURNAL and poll >= STOCK_POLL_S:
        yield warn(f"{where}: {POLL} is {poll:g}: copies lag up to {2 * poll:g} s", set_.format(POLL, "0.5"))
    if retry >= STOCK_RETRY_S:
        yield warn(
            f"{where}: {RETRY} is {retry:g}: after a fault or a role change replication starts up to "
            f"{2 * retry:g} s late",
            set_.format(RETRY, "5"),
        )
    if not delay:
        yield warn(
            f"{where}: {DELAY} is 0: an image deleted at the other site is removed here at once",
            set_.format(DELAY, "86400"),
        )
    if delay and retry < STOCK_RETRY_S and (poll < STOCK_POLL_S or facts.settings.mode is not Mode.JOURNAL):
        yield ok(
            f"{where}: journals are polled every {poll:g} s, faults retried after {retry:g} s, deleted "
            f"copies kept for {delay:g} s"
        )
