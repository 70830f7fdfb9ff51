"""Checks of a datastore's items and settings.

Each yields at least one result. The facts that it needs are known.
"""
from __future__ import annotations

from collections.abc import Iterator

from onedr.check.facts import CheckFacts, CheckResult, Unknown, known, ok, problem, warn
from onedr.check.rules_cluster import both
from onedr.model.records import ImageRecord, ProbeResult, SiteInfo
from onedr.model.settings import schedule_problem
from onedr.model.text import first_few
from onedr.model.types import Mode, State
from onedr.protection import schedule_rules
from onedr.replication import copy_rules

KEPT_WELL = 5  # Ceph's default of rbd_mirroring_max_mirroring_snapshots (16.2.15)
_UNDER_WAY = (
    State.PROTECTING,
    State.STANDBY,
    State.DRILLING,
    State.FAILING_OVER,
    State.FAILING_BACK,
    State.REPROTECTING,
)


def site_index(facts: CheckFacts) -> Iterator[CheckResult]:
    site_info = facts.there.site_info
    if site_info is None or isinstance(site_info, Unknown):
        why = site_info.reason if isinstance(site_info, Unknown) else "it has not published its settings yet"
        text = f"the peer's site index is unknown ({why}); ours is {facts.settings.site_index}"
        yield warn(text, "onedr reconcile at the peer")
    elif site_info.site_index == facts.settings.site_index:
        yield problem(
            f"both sites have DR_SITE_INDEX={site_info.site_index}: their images get the same names",
            f"onedatastore update {facts.datastore}: DR_SITE_INDEX=1 at one of the sites",
        )
    else:
        yield ok(f"site index {facts.settings.site_index} here, {site_info.site_index} at the peer")


def recovery_plan(facts: CheckFacts) -> Iterator[CheckResult]:
    """A run is held by a plan that it cannot follow; better to know before."""
    chosen = known(facts.recovery)
    if chosen.doubt:
        yield problem(
            f"DR_RECOVERY_PLAN={chosen.name}: runs are held. {chosen.doubt}",
            f"onedr recovery-plan edit {facts.datastore} {chosen.name}, or another DR_RECOVERY_PLAN",
        )
    else:
        by = f"the recovery plan {chosen.label}" if chosen.label else "DR_PRIORITY"
        yield ok(f"VMs start by {by}")


def names(facts: CheckFacts) -> Iterator[CheckResult]:
    found = known(facts.clashes)
    if found:
        yield problem(
            f"both sites have different images with the same names: {first_few(found)}; only those of one "
            "site can be mirrored",
            "at one site, copy them to a datastore in another pool and remove them from this one",
        )
    else:
        yield ok("no name is used at both sites for different images")


def mode(facts: CheckFacts) -> Iterator[CheckResult]:
    """All images use the datastore's mode."""
    images = [image for image in known(facts.images) if image.mode is not None]
    other = [image.name for image in images if image.mode is not facts.settings.mode]
    if other:
        yield warn(f"mirrored in another mode than DR_MODE={facts.settings.mode.value}: {first_few(other)}",
                   f"onedr disable {facts.datastore}, then onedr enable; the mode cannot be changed "
                   "otherwise")
    else:
        yield ok(f"{len(images)} image(s) are mirrored in mode {facts.settings.mode.value}")
    site_info = facts.there.site_info
    if isinstance(site_info, SiteInfo) and site_info.mode != facts.settings.mode.value:
        yield warn(
            f"DR_MODE is {facts.settings.mode.value} here and {site_info.mode} at the peer: after a "
            "failover new images would use another mode",
            f"onedatastore update {facts.datastore}, at one of the sites",
        )


def schedules(facts: CheckFacts) -> Iterator[CheckResult]:
    if facts.settings.mode is not Mode.SNAPSHOT:
        yield ok("journal mode needs no mirror snapshot schedule")
        return
    primaries = _snapshot_primaries(facts)
    without = sorted(primaries - known(facts.schedules))
    if without:
        yield problem(
            f"no mirror snapshot schedule here for {first_few(without)}",
            f"onedr reconcile {facts.datastore}",
        )
    else:
        yield ok(
            f"all {len(primaries)} image(s) that are primary here have a schedule ({facts.settings.schedule})"
        )
    for image in sorted(known(facts.images), key=lambda image: image.name):
        body = image.image.body if image.image is not None and image.name in primaries else None
        if isinstance(body, ImageRecord) and (why := schedule_problem(facts.settings, body.template)):
            yield warn(f"{image.name}: {why}", f"oneimage update {body.image_id}")


def _snapshot_primaries(facts: CheckFacts) -> set[str]:
    return {image.name for image in known(facts.images) if image.mode is Mode.SNAPSHOT and image.primary}


def snapshots_taken(facts: CheckFacts) -> Iterator[CheckResult]:
    """A schedule that is listed and does not run shows in nothing but the age of the snapshots."""
    found, settings = known(facts.newest_snapshots), facts.settings
    if settings.mode is not Mode.SNAPSHOT:
        yield ok("journal mode needs no mirror snapshots")
        return
    overdue_s = {
        image.name: schedule_rules.patience_s(schedule_rules.schedule_of_image(image, settings), True)
        for image in known(facts.images) if image.name in _snapshot_primaries(facts)
    }
    ages = {name: found.age_s[name] for name in sorted(overdue_s.keys() & found.age_s.keys())}
    late = [name for name, age in ages.items() if age is None or age > overdue_s[name]]
    if late:
        longest = max(overdue_s[name] for name in late)
        yield problem(
            f"no mirror snapshot was taken for {longest / 60:.0f} minutes (DR_SCHEDULE={settings.schedule}, "
            f"or the image's own) of {first_few(late)}",
            f"ceph health detail; ceph mgr module ls (rbd_support); onedr reconcile {facts.datastore}",
        )
    else:
        yield ok(f"the mirror snapshots of {len(ages)} image(s) are taken")


def snapshots_kept(facts: CheckFacts) -> Iterator[CheckResult]:
    kept = known(facts.snapshots_kept)
    if facts.settings.mode is Mode.SNAPSHOT and kept < KEPT_WELL:
        yield warn(
            f"Ceph keeps {kept} mirror snapshots of an image; fewer than {KEPT_WELL} can damage copies "
            "under load",
            f"ceph config set client rbd_mirroring_max_mirroring_snapshots {KEPT_WELL}",
        )
    else:
        yield ok(f"Ceph keeps {kept} mirror snapshots of an image" + (
            "; journal mode uses none" if facts.settings.mode is Mode.JOURNAL else ""))


def points(facts: CheckFacts) -> Iterator[CheckResult]:
    """Mirror snapshots do not carry group snapshots."""
    every_s = facts.settings.point_every_s
    if every_s and facts.settings.mode is Mode.SNAPSHOT:
        yield problem(
            "DR_POINT_EVERY is set, but DR_MODE=SNAPSHOT does not carry points to the peer: none are taken",
            f"onedatastore update {facts.datastore}: no DR_POINT_EVERY; or see docs/points.md",
        )
    else:
        yield ok(f"points in time are taken every {every_s} s" if every_s else "no points in time are taken")


def state(facts: CheckFacts) -> Iterator[CheckResult]:
    """The datastore's state, as in onedr status: late copies, split-brain, a returned site."""
    found = known(facts.verdict)
    text = f"{found.state.value}: {found.message}"
    if found.state in (State.PROTECTED, State.STANDBY) and found.code != "RECEIVING":
        yield ok(text)
    elif found.state in _UNDER_WAY or found.code == "UNSEEN":  # why is PEER's to say
        yield warn(text, f"onedr status {facts.datastore}")
    else:
        yield problem(
            text,
            {
                State.UNPROTECTED: f"onedr enable {facts.datastore}",
                State.RETURNED: f"onedr reprotect {facts.datastore}",
                State.INTERRUPTED: f"onedr resume {facts.datastore}",
                State.SPLIT_BRAIN: "stop the VMs of one site first; see docs/guard.md",
            }.get(found.state, f"onedr status {facts.datastore}"),
        )


def unprotected(facts: CheckFacts) -> Iterator[CheckResult]:
    found = {name: why for name, why in known(facts.unprotected).items() if not _waits(why)}
    for name, why in sorted(found.items()):
        yield problem(f"{name} is not protected: {why}", f"onedr reconcile {facts.datastore}")
    damaged = [image for image in known(facts.images) if image.problems and image.mode is not None]
    for image in damaged:
        yield problem(f"{image.name}: {'; '.join(image.problems)}", f"onedr reconcile {facts.datastore}")
    if not found and not damaged:
        yield ok("everything that should be mirrored is mirrored")


def _waits(why: str) -> bool:
    return copy_rules.WAITS in why


def copy_window(facts: CheckFacts) -> Iterator[CheckResult]:
    """What a time of day for first copies costs: until then an image has no recovery point at all."""
    window, outside = facts.settings.copy_window, facts.settings.copies_outside
    if window is None:
        yield ok("first copies and resyncs begin at any time (no DR_COPY_WINDOW)")
        return
    text = f"DR_COPY_WINDOW={copy_rules.window_text(window)}, {outside} at once outside"
    waiting = [name for name, why in sorted(known(facts.unprotected).items()) if _waits(why)]
    todo = f"onedatastore update {facts.datastore}: a larger DR_COPY_OUTSIDE, or no DR_COPY_WINDOW"
    hours = copy_rules.outside_min(window) / 60
    if waiting:
        named = first_few(waiting)
        yield warn(f"{text}: {len(waiting)} wait and are not protected until then: {named}", todo)
    elif not outside:
        yield warn(f"{text}: what is created may stay unprotected for {hours:.1f} h", todo)
    else:
        yield ok(f"{text}: what is created during {hours:.1f} h of the day waits for its turn, unprotected")


def trade(facts: CheckFacts) -> Iterator[CheckResult]:
    """What DR_MODE and DR_CLONES mean on this release of Ceph, according to the last probe."""
    flattened = facts.settings.mode is Mode.SNAPSHOT or facts.settings.flatten_clones
    result = known(facts.probe_results).get(facts.settings.mode)
    what = "clones are flattened first" if flattened else "clones remain thin clones of their mirrored base"
    text = f"{facts.settings.mode.value} mode, {what}"
    todo = f"onedr check {facts.datastore} --probe"
    wanted = {
        release
        for _, cluster in both(facts)
        if not isinstance(cluster.releases, Unknown)
        for release in cluster.releases
    }
    if result is None:
        yield warn(f"{text}; mirroring on Ceph {', '.join(sorted(wanted)) or 'here'} was never probed", todo)
    elif wanted - set(result.releases):
        yield warn(
            f"{text}; the last probe was on Ceph {', '.join(result.releases)}, not on "
            f"{', '.join(sorted(wanted))}",
            todo,
        )
    else:
        yield _trade(text, result, flattened, todo)


def _trade(text: str, result: ProbeResult, flattened: bool, todo: str) -> CheckResult:
    release = ", ".join(result.releases)
    if not result.arrives or not result.returns:
        which = "there" if not result.arrives else "back"
        return problem(
            f"{text}; in the last probe an image did not arrive {which} unchanged on Ceph {release}", todo
        )
    lost = "" if result.discards else "; discards are not replicated, the copy keeps the old bytes"
    if not result.clones and not flattened:
        return problem(
            f"{text}; the last probe found damaged copies of clones on Ceph {release}",
            "set DR_CLONES=FLATTEN",
        )
    clones = (
        "copies of clones are correct"
        if result.clones
        else "copies of clones would be damaged, so they are flattened first"
    )
    return ok(f"{text}; probed on Ceph {release}: {clones}{lost}")


def disk_driver(facts: CheckFacts) -> Iterator[CheckResult]:
    """Kernel RBD does not support journaling."""
    others = sorted(set(known(facts.disk_drivers)) - {"kvm", "qemu", "lxc", "dummy"})
    if facts.settings.mode is Mode.JOURNAL and others:
        text = (
            f"it is unknown whether hosts with VM_MAD {', '.join(others)} open disks with librbd; kernel RBD "
            "does not support journaling"
        )
        yield warn(text, "DR_MODE=SNAPSHOT if they map disks with krbd")
    else:
        yield ok("the hosts' drivers open disks with librbd or rbd-nbd")


def network_map(facts: CheckFacts) -> Iterator[CheckResult]:
    """Every target network of DR_NETWORK_MAP exists here."""
    here = known(facts.networks)
    absent = [f"{there}={target}" for there, target in facts.settings.network_map if target not in here]
    drill = facts.settings.drill_network
    if absent:
        text = f"DR_NETWORK_MAP names networks that do not exist here: {', '.join(absent)}"
        yield problem(text, f"onedatastore update {facts.datastore}")
    elif drill and not here.get(drill):
        yield problem(
            f"DR_DRILL_NETWORK={drill}, which does not exist here, or is a user's and not named by its id",
            f"onevnet create, or onedatastore update {facts.datastore}",
        )
    else:
        yield ok(f"DR_NETWORK_MAP has {len(facts.settings.network_map)} entries; their networks exist here")


def oned_lists(facts: CheckFacts) -> Iterator[CheckResult]:
    missing = known(facts.unknown_to_oned)
    if missing:
        yield problem(f"oned runs without ceph_dr in {', '.join(missing)}", "install.sh, then restart oned")
    else:
        yield ok("oned knows the drivers")


def guarded(facts: CheckFacts) -> Iterator[CheckResult]:
    if known(facts.guarded):
        yield ok("the guard knows this datastore")
    else:
        yield problem(
            "the boot guard does not know this datastore: a returned site would start its VMs",
            f"onedr reconcile {facts.datastore}",
        )


def record_keys(facts: CheckFacts) -> Iterator[CheckResult]:
    site_info, own = facts.there.site_info, known(facts.key)
    if isinstance(site_info, Unknown) or site_info is None:
        why = site_info.reason if isinstance(site_info, Unknown) else "it has not published its settings yet"
        yield warn(
            f"it is unknown whether the peer has the same record key: {why}", "onedr reconcile at the peer"
        )
    elif own and site_info.key == own:
        yield ok("both sites have the same record key")
    elif own and not site_info.key:
        yield problem(
            "the peer has no record key: VMs would start there without their secrets, and its unsigned "
            "records are not believed here",
            "copy etc/onedr/record.key there, mode 0600",
        )
    elif not own and site_info.key:
        yield problem(
            "this site has no record key, but the peer has: VMs would start here without their secrets, and "
            "forged records are believed",
            "copy etc/onedr/record.key from the peer, mode 0600",
        )
    elif own:
        yield problem(
            "the sites have different record keys: secrets encrypted at one cannot be decrypted at the "
            "other, and neither believes the other's records",
            "copy one record.key to both sites",
        )
    else:
        yield warn(
            "neither site has a record key: secrets of VMs are not recorded, and forged records are believed",
            "see docs/records.md: create one and copy it",
        )
