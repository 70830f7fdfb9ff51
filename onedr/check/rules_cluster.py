"""Checks of the two clusters and of the line.

Each says at least one sentence of facts of which those it needs are known.
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
        todo = "bring its Ceph or the line back; if that site is lost and the copies are here: onedr failover"
        yield problem(f"the peer's Ceph does not answer ({detail}): nothing is copied meanwhile", todo)


def readable(facts: CheckFacts) -> Iterator[CheckResult]:
    if facts.readable:
        yield ok("the peer's images may be read from here")
    else:
        yield warn(
            "the peer's images may not be read from here: copies are judged by rbd-mirror's status, and the "
            "guard knows nothing",
            "ceph auth caps client.<CEPH_USER>: mon 'profile rbd-mirror' beside the others, or set "
            "DR_PEER_CEPH_CONF",
        )


def peering(facts: CheckFacts) -> Iterator[CheckResult]:
    for where, cluster in both(facts):
        if isinstance(cluster.peering, Unknown):
            yield warn(f"{where}: how the pool is mirrored is not known: {cluster.peering.reason}")
        else:
            yield from _peering(where, cluster.peering)


def _peering(where: str, found: Peering) -> Iterator[CheckResult]:
    if not found.per_image:
        yield problem(f"{where}: the pool does not mirror per image", "rbd mirror pool enable <pool> image")
    elif not found.directions:
        yield problem(
            f"{where}: the pool has no peer",
            "rbd mirror pool peer bootstrap create, and import at the other site",
        )
    elif "rx-tx" not in found.directions:
        what = ", ".join(found.directions)
        todo = "import the peer's bootstrap token with --direction rx-tx at both sites"
        yield problem(
            f"{where}: the pool is peered one way only ({what}): there is no way back after a failover", todo
        )
    else:
        yield ok(f"{where}: the pool mirrors per image, both ways")


def mirrors(facts: CheckFacts) -> Iterator[CheckResult]:
    for where, cluster in both(facts):
        if isinstance(cluster.mirrors, Unknown):
            yield warn(f"{where}: whether rbd-mirror runs is not known: {cluster.mirrors.reason}")
        else:
            yield _mirrors(where, cluster.mirrors)


def _mirrors(where: str, found: Mirrors) -> CheckResult:
    todo = f"systemctl restart ceph-rbd-mirror.target, {where}"
    if not found.daemons:
        return problem(f"{where}: Ceph knows of no rbd-mirror: no copies arrive {where}", todo)
    if found.images and not found.reported:
        return warn(
            f"{where}: rbd-mirror reports none of {found.images} mirrored images: it died less than a "
            "minute ago, hangs, or it or mirroring has just begun",
            f"look again in half a minute; then {todo}",
        )
    if found.reported < found.images:
        return warn(
            f"{where}: rbd-mirror reports {found.reported} of {found.images} mirrored images (each within 30 "
            "s)",
            "look again in half a minute",
        )
    return ok(
        f"{where}: rbd-mirror runs"
        + (f" and reports all {found.images} mirrored images" if found.images else "")
    )


def releases(facts: CheckFacts) -> Iterator[CheckResult]:
    seen = []
    for where, cluster in both(facts):
        if isinstance(cluster.releases, Unknown):
            yield warn(f"{where}: Ceph's release is not known: {cluster.releases.reason}")
            continue
        seen.append(cluster.releases)
        if len(cluster.releases) > 1:
            yield warn(
                f"{where}: daemons of several releases run ({', '.join(cluster.releases)})",
                "finish the upgrade",
            )
    if len(seen) == 2 and seen[0] != seen[1]:
        yield warn(
            f"Ceph is {', '.join(seen[0])} here and {', '.join(seen[1])} at the peer",
            "onedr check <datastore> --probe",
        )
    elif len(seen) == 2 and len(seen[0]) == 1:
        yield ok(f"Ceph is {seen[0][0]} at both sites")


def replicas(facts: CheckFacts) -> Iterator[CheckResult]:
    seen: list[Replicas] = []
    for where, cluster in both(facts):
        if isinstance(cluster.replicas, Unknown):
            yield warn(f"{where}: the pool's size is not known: {cluster.replicas.reason}")
            continue
        seen.append(cluster.replicas)
        if cluster.replicas.size < 2:
            text = (
                f"{where}: the pool has size {cluster.replicas.size}: the loss of one disk loses data there"
            )
            yield warn(text, "ceph osd pool set <pool> size 3")
    if len(seen) == 2 and seen[0] != seen[1]:
        yield warn(
            f"the pool has size {seen[0].size} (min {seen[0].min_size}) here and {seen[1].size} (min "
            f"{seen[1].min_size}) at the peer: a disk's loss weighs otherwise after a failover",
            "ceph osd pool set <pool> size …",
        )
    elif len(seen) == 2 and seen[0].size > 1:
        yield ok(f"the pool has size {seen[0].size} at both sites")


def space(facts: CheckFacts) -> Iterator[CheckResult]:
    for where, cluster in both(facts):
        if isinstance(cluster.space, Unknown):
            yield warn(f"{where}: the free space is not known: {cluster.space.reason}")
        else:
            yield _space(where, cluster.space, _needed(facts, where))


def _needed(facts: CheckFacts, where: str) -> int | None:
    """Bytes that are yet to be copied to the peer, at the least the journals; None when that cannot be told.
    """
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
    todo = "give the cluster space, or delete something"
    if found.alarms:
        return problem(f"{where}: Ceph reports {', '.join(found.alarms)}", todo)
    whole = found.used + found.free
    if not found.free:
        return problem(f"{where}: the pool is full", todo)
    if need is None:
        return warn(f"{where}: {found.free // MIB} MiB are free; whether that is enough is not known")
    if need > found.free:
        return problem(
            f"{where}: {found.free // MIB} MiB are free, journals and missing copies may take {need // MIB} "
            "MiB",
            todo,
        )
    if found.free * 100 < whole * SPARE:
        return warn(
            f"{where}: only {found.free * 100 // whole} % of the pool are free ({found.free // MIB} MiB)",
            todo,
        )
    return ok(f"{where}: {found.free // MIB} MiB are free")


def clock(facts: CheckFacts) -> Iterator[CheckResult]:
    least, most = known(facts.clock_s)
    todo = "timedatectl set-ntp true, at both sites"
    if least > CLOCK_S or most < -CLOCK_S:
        by = f"{least:.0f} s or more ahead of" if least > 0 else f"{-most:.0f} s or more behind"
        yield problem(
            f"the peer's clock is {by} this site's: ages of recovery points are wrong by that", todo
        )
    elif least >= -CLOCK_S and most <= CLOCK_S:
        yield ok(f"the sites' clocks agree within {max(-least, most):.0f} s")
    else:
        yield warn(
            f"the peer's clock is between {-least:.0f} s behind and {most:.0f} s ahead of ours; no better is "
            "known",
            "docs/configuration.md: peer.endpoint; chronyc tracking, at both sites",
        )


def objective(facts: CheckFacts) -> Iterator[CheckResult]:
    """The options of the rbd-mirror that receives decide how old copies are, and how long a deletion can be
    taken back.
    """
    for where, cluster in both(facts):
        if isinstance(cluster.settings, Unknown):
            yield warn(f"{where}: rbd-mirror's options are not known: {cluster.settings.reason}")
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
        yield warn(f"{where}: {', '.join(unread)} cannot be told")
        return
    poll, retry, delay = (float(value or 0) for value in found.values())
    set_ = "ceph config set client.rbd-mirror.<id> {} {}"
    if facts.settings.mode is Mode.JOURNAL and poll >= STOCK_POLL_S:
        yield warn(f"{where}: {POLL} is {poll:g}: copies lag up to {2 * poll:g} s", set_.format(POLL, "0.5"))
    if retry >= STOCK_RETRY_S:
        yield warn(
            f"{where}: {RETRY} is {retry:g}: after a fault or a change of roles copying begins up to "
            f"{2 * retry:g} s late",
            set_.format(RETRY, "5"),
        )
    if not delay:
        yield warn(
            f"{where}: {DELAY} is 0: what is deleted at the other site is gone here at once",
            set_.format(DELAY, "86400"),
        )
    if delay and retry < STOCK_RETRY_S and (poll < STOCK_POLL_S or facts.settings.mode is not Mode.JOURNAL):
        yield ok(
            f"{where}: journals are looked at every {poll:g} s, faults after {retry:g} s, deleted copies "
            f"kept {delay:g} s"
        )
