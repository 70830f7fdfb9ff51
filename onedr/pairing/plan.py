"""The plan of `onedr setup`: ordered changes, each with current value, new value and cost. Pure.

A change names one object of Ceph or of this machine, and its value before and after; None: it does not exist.
Setup writes `after`, teardown writes `before`. Changes are recorded in the cluster before they are made
(pairing.undo_log).
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from onedr.pairing import ceph_caps
from onedr.pairing.facts import (
    Change,
    ChangeKind,
    DesiredState,
    JoinOffer,
    PairingFacts,
    PairingPlan,
    PeerSite,
    Setting,
)

_NEW_KEYS = (
    "Keys that this cluster makes are of type {}, which Ceph before 19.2.6 and 20.2.4 cannot read. If the "
    "other site is older, first run here: ceph mon set auth_allowed_ciphers aes,aes256k; ceph mon set "
    "auth_preferred_cipher aes."
)
_UNREADABLE = (
    "Ceph here would give the other site's rbd-mirror a key of type {}, which Ceph at site {} cannot read "
    "(19.2.6 and 20.2.4 can). Upgrade there, or run here: ceph mon set auth_allowed_ciphers aes,aes256k; "
    "ceph mon set auth_preferred_cipher aes;"
)


def settings(desired: DesiredState) -> tuple[Setting, ...]:
    """The settings that determine RPO and recovery."""
    return (
        Setting(
            "rbd_mirror_journal_poll_age",
            f"{desired.poll_age_s:g}",
            (
                f"copies in JOURNAL mode lag {2 * desired.poll_age_s:g} s at most instead of 10; each "
                f"mirrored image costs the other site's Ceph about {2 / desired.poll_age_s:g} small reads a "
                "second instead of 0.4"
            ),
        ),
        Setting(
            "rbd_mirror_image_state_check_interval",
            str(desired.retry_s),
            (
                f"what failed, or waits after a role change, is retried after {desired.retry_s} s instead of "
                "30; no load"
            ),
        ),
        Setting(
            "rbd_mirroring_delete_delay",
            str(desired.delete_delay_s),
            (
                "a copy whose image was deleted at the other site stays in the trash here for "
                f"{desired.delete_delay_s} s, and so does what a resync replaces; both take space for that "
                "time"
            ),
        ),
    )


def daemon_user(facts: PairingFacts, site: str) -> str:
    """The user with which this site's rbd-mirror runs, or will run."""
    return (
        f"client.{facts.daemons.running[0]}" if facts.daemons.running else f"{ceph_caps.DAEMON_PREFIX}{site}"
    )


def section(user: str) -> str:
    """The section of the monitors' settings that applies to all rbd-mirror daemons of the site."""
    return "client.rbd-mirror" if user.startswith(ceph_caps.DAEMON_PREFIX) else user


def plan_setup(facts: PairingFacts, desired: DesiredState) -> PairingPlan:
    """The changes to make. Equal facts give equal plans, and an empty plan when everything is as desired."""
    refusals = tuple(_refusals(facts, desired))
    if refusals:
        return PairingPlan(refusals)
    site = desired.site or facts.site or ""
    user = daemon_user(facts, site)
    changes = [
        *_pool(facts, desired, site),
        *_users(facts, desired, user),
        *_settings(facts, desired, user),
        *_front_end(facts, desired),
        *_peer_changes(facts, desired),
    ]
    changes += _daemon(facts, changes)
    return PairingPlan((), tuple(changes), tuple(_notes(facts, desired, changes)))


def _refusals(facts: PairingFacts, desired: DesiredState) -> Iterable[str]:
    pool = desired.pool
    if not facts.pool_there:
        yield (
            f"There is no pool {pool} in this cluster. Create it with the layout you want: ceph osd pool "
            f"create {pool}."
        )
        return
    if facts.application not in ("", "rbd"):
        yield f"Pool {pool} belongs to {facts.application}, not to RBD; use another pool."
    if facts.mirroring == "pool":
        yield (
            f"Pool {pool} mirrors all images that have a journal (mode pool), but OneDR mirrors per image. "
            f"Disable that mirroring first: rbd mirror pool disable {pool}."
        )
    if not (desired.site or facts.site):
        yield "The site needs a name: use --site NAME."
    for peer in facts.peers:
        if not peer.both_ways:
            yield (
                f"Pool {pool} has a peer {peer.site} in one direction only, so a failback would not be "
                f"possible. Run rbd mirror pool peer remove {pool} {peer.uuid} at both sites, then run onedr "
                "setup again."
            )
    if facts.join_offer is not None:
        yield from _offer_refusals(facts, desired, facts.join_offer)
    elif not facts.peers and not desired.offer:
        yield (
            f"Pool {pool} has no peer yet: write a join file at one site (--offer FILE), and use it at the "
            "other (--join FILE)."
        )


def _offer_refusals(facts: PairingFacts, desired: DesiredState, there: JoinOffer) -> Iterable[str]:
    pool, site = desired.pool, desired.site or facts.site
    if there.fsid == facts.fsid:
        yield "The join file was created at this site; use it at the other one."
    if there.pool != pool:
        yield (
            f"The join file is for pool {there.pool}, not {pool}: only pools of the same name can mirror "
            "each other."
        )
    if there.site == site:
        yield f"Both sites would have the name {site}; use another one with --site NAME."
    if any(not is_same_site(peer, there) for peer in facts.peers):
        yield (
            f"Pool {pool} has another peer, {facts.peers[0].site}, and Ceph allows one only. Run onedr "
            f"teardown, or rbd mirror pool peer remove {pool} {facts.peers[0].uuid}."
        )
    if not there.reads_new_keys and facts.peer_key_type != "aes":
        has_user = facts.users.get(ceph_caps.PEER) is not None
        rotate = f" ceph auth rotate --key-type=aes {ceph_caps.PEER};" if has_user else ""
        yield f"{_UNREADABLE.format(facts.peer_key_type, there.site)}{rotate} then onedr setup --join."
    if facts.record_key and there.record_key and facts.record_key != there.record_key:
        yield (
            f"The record keys differ: {facts.record_key_file} is not that of site {there.site}, and secrets "
            "encrypted with one cannot be decrypted with the other. If nothing was recorded with this one, "
            "move it away and run onedr setup again."
        )
    if desired.site_index is not None and desired.site_index == there.site_index:
        yield (
            f"Both sites have DR_SITE_INDEX={desired.site_index}, so their images would have the same names; "
            "set DR_SITE_INDEX=1 on the datastore of one of them (onedatastore update)."
        )


def is_same_site(peer: PeerSite, there: JoinOffer) -> bool:
    """Is this peer the site that wrote the join file?"""
    return bool(peer.hosts & there.hosts) or (not peer.hosts and peer.site == there.site)


def _pool(facts: PairingFacts, desired: DesiredState, site: str) -> Iterable[Change]:
    pool = desired.pool
    if not facts.application:
        yield Change(ChangeKind.POOL, pool, None, "rbd", f"pool {pool} becomes an RBD pool", "nothing", pool)
    if facts.mirroring != "image":
        yield Change(
            ChangeKind.MIRRORING,
            pool,
            facts.mirroring,
            "image",
            f"pool {pool} mirrors single images",
            "nothing until an image is mirrored",
            pool,
        )
    if facts.site != site:
        yield Change(
            ChangeKind.SITE, "", facts.site, site, "name of this cluster in mirroring", "nothing"
        )


def _users(facts: PairingFacts, desired: DesiredState, daemon: str) -> Iterable[Change]:
    own, pools = _own(desired), sorted({*facts.pools, *_own(desired)})
    if desired.user:
        entity = f"client.{desired.user}"
        yield from _user(
            facts, entity, ceph_caps.datastore_user(own), "the datastore's user, for OneDR, drivers and VMs"
        )
        if not desired.keyfile:
            yield from _keyring(facts, entity)
    running = bool(facts.daemons.running)
    if not running or facts.users.get(daemon) is not None:
        yield from _user(facts, daemon, ceph_caps.daemon(pools), "the user of this site's rbd-mirror")
    if not running and facts.daemons.unit:
        yield from _keyring(facts, daemon)
    if desired.offer or facts.join_offer:
        yield from _peer_user(facts, pools)


def _own(desired: DesiredState) -> list[str]:
    return [pool for pool in (desired.pool, desired.data_pool) if pool]


def _peer_user(facts: PairingFacts, pools: Sequence[str]) -> Iterable[Change]:
    """Ceph creates it for all pools. An existing one keeps its caps, because others may use it."""
    have = facts.users.get(ceph_caps.PEER)
    wide = have == ceph_caps.PEER_BY_CEPH and ceph_caps.PEER in facts.own_users
    wanted = (
        ceph_caps.text(ceph_caps.peer(pools))
        if have is None or wide
        else ceph_caps.merged(have, ceph_caps.peer(pools))
    )
    if wanted != have:
        yield Change(
            ChangeKind.USER,
            ceph_caps.PEER,
            ceph_caps.packed(have),
            ceph_caps.packed(wanted),
            (f"{ceph_caps.PEER}: the user of the other site's rbd-mirror and OneDR"),
            "the other site may read and write this pool; Ceph's own token command then refuses other pools",
        )


def _user(facts: PairingFacts, entity: str, grants: Sequence[ceph_caps.Grant], what: str) -> Iterable[Change]:
    have = facts.users.get(entity)
    wanted = ceph_caps.merged(have or {}, grants)
    if have is None or wanted != have:
        cost = (
            "a key with these caps only" if have is None else "caps are added, none are removed"
        )
        yield Change(
            ChangeKind.USER,
            entity,
            ceph_caps.packed(have),
            ceph_caps.packed(wanted),
            f"{entity}: {what}",
            cost,
        )


def _keyring(facts: PairingFacts, entity: str) -> Iterable[Change]:
    path, right = facts.keyrings.get(entity, ("", True))
    if not right:
        yield Change(
            ChangeKind.KEYRING,
            f"{entity} {path}",
            None,
            "its key",
            f"{path}: the key of {entity} on this machine",
            "a secret in a file of mode 0600",
        )


def _settings(facts: PairingFacts, desired: DesiredState, daemon: str) -> Iterable[Change]:
    where = section(daemon)
    for setting in settings(desired):
        now = facts.settings.get((where, setting.name))
        if not same_number(now, setting.wanted):
            default = facts.defaults.get(setting.name, "")
            text = f"{setting.name} of {where}" + (f" (now {default})" if default else "")
            yield Change(
                ChangeKind.SETTING, f"{where} {setting.name}", now, setting.wanted, text, setting.cost
            )
    if desired.schedule and facts.schedule != desired.schedule:
        yield Change(
            ChangeKind.SCHEDULE,
            desired.pool,
            facts.schedule,
            desired.schedule,
            (
                f"a mirror snapshot of each image of pool {desired.pool} that is primary here and mirrored "
                "in SNAPSHOT mode"
            ),
            "each snapshot sends its difference over the link",
            desired.pool,
        )


def same_number(one: str | None, other: str) -> bool:
    """Are two texts the same number? Ceph returns 0.5 as 0.500000."""
    if one is None:
        return False
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def _peer_changes(facts: PairingFacts, desired: DesiredState) -> Iterable[Change]:
    there, joined = facts.join_offer, ",".join(sorted(peer.uuid for peer in facts.peers)) or None
    if facts.record_key is None and (desired.offer or (there and there.record_key)):
        origin = f"the one of site {there.site}" if there and there.record_key else "a new one"
        text = f"{facts.record_key_file}: the key that encrypts secrets in records"
        yield Change(ChangeKind.KEY, facts.record_key_file, None, origin, text,
                     "a secret in a file of mode 0600; without it recovered VMs lack their passwords")
    if there is not None and not there.used:
        text = (
            f"pool {desired.pool} and the one of site {there.site} become peers in both directions; the join "
            "file becomes invalid"
        )
        yield Change(
            ChangeKind.PEER,
            desired.pool,
            joined,
            there.site,
            text,
            "each site's rbd-mirror reads and writes the other's pool",
            desired.pool,
        )
    elif desired.offer and all(peer.needs_file for peer in facts.peers) and facts.offered != desired.offer:
        yield Change(
            ChangeKind.OFFER,
            desired.offer,
            facts.offered,
            desired.offer,
            f"{desired.offer}: the join file for the other site",
            "until it is used or expires, anyone who has it can join",
            desired.pool,
        )


def _front_end(facts: PairingFacts, desired: DesiredState) -> Iterable[Change]:
    if desired.front_end and desired.password_file:
        yield Change(
            ChangeKind.PASSWORD, desired.password_file, None, "as given",
            f"{desired.password_file}: user and password for the other site's front-end",
            "a secret in a file of mode 0600",
        )
    if desired.front_end and facts.front_end != desired.front_end:
        yield Change(
            ChangeKind.FRONT_END, facts.configuration_file, facts.front_end, desired.front_end,
            f"{facts.configuration_file}: the way to the other site's front-end, which answered",
            "nothing; without it there is no move and no failback",
        )


def _daemon(facts: PairingFacts, changes: Sequence[Change]) -> Iterable[Change]:
    daemons = facts.daemons
    if not daemons.unit or (daemons.running and not daemons.active):
        return
    if not daemons.active:
        yield Change(
            ChangeKind.DAEMON,
            daemons.unit,
            None,
            "running",
            f"{daemons.unit} is started, and enabled at boot",
            "some memory",
        )
    elif any(change.kind is ChangeKind.SETTING for change in changes):
        text = f"{daemons.unit} is restarted, because it reads settings at its start"
        yield Change(ChangeKind.DAEMON, daemons.unit, "running", "running", text, "copies pause for seconds")


def _notes(facts: PairingFacts, desired: DesiredState, changes: Sequence[Change]) -> Iterable[str]:
    if not desired.user:
        yield (
            "No Ceph user of a datastore was given (CEPH_USER, --ceph-user): none is created, and no caps "
            "are checked."
        )
    for setting in settings(desired):
        in_file = facts.files.get(setting.name)
        if in_file is not None and not same_number(in_file, setting.wanted):
            yield (
                f"The configuration file on this machine sets {setting.name} = {in_file} for rbd-mirror, "
                "which overrides the monitors' value; remove it from that file."
            )
    if (
        facts.daemons.running
        and not facts.daemons.active
        and any(change.kind is ChangeKind.SETTING for change in changes)
    ):
        yield (
            f"Restart rbd-mirror ({', '.join(facts.daemons.running)}): it reads these settings at its start "
            "(cephadm: ceph orch restart rbd-mirror; MicroCeph: snap restart microceph.rbd-mirror)."
        )
    if desired.offer and facts.key_type != "aes":
        yield _NEW_KEYS.format(facts.key_type)
    if not facts.daemons.running and not facts.daemons.unit:
        yield f"No rbd-mirror reports at this site. {facts.daemons.hint}"
    if facts.join_offer is not None and facts.join_offer.used:
        yield "The join file was already used; remove it."
    if desired.offer and not all(peer.needs_file for peer in facts.peers):
        yield f"Pool {desired.pool} has its peer {facts.peers[0].site}: no join file is needed."
