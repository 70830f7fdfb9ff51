"""Checks of what is protected and of its settings.

Each says at least one sentence of facts of which those it needs are known.
"""
from __future__ import annotations

from collections.abc import Iterator

from onedr.check.facts import CheckFacts, CheckResult, Unknown, first_few, known, ok, problem, warn
from onedr.check.rules_cluster import both
from onedr.model.records import ProbeResult, SiteInfo
from onedr.model.types import Mode, State

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
    card = facts.there.card
    if card is None or isinstance(card, Unknown):
        why = card.reason if isinstance(card, Unknown) else "it has left none in its pool yet"
        text = f"the peer's site index is not known ({why}); ours is {facts.settings.site_index}"
        yield warn(text, "onedr reconcile at the peer")
    elif card.site_index == facts.settings.site_index:
        yield problem(f"both sites have DR_SITE_INDEX={card.site_index}: their images get the same names",
                  f"onedatastore update {facts.datastore}: DR_SITE_INDEX=1 at one of the sites")
    else:
        yield ok(f"site index {facts.settings.site_index} here, {card.site_index} at the peer")


def names(facts: CheckFacts) -> Iterator[CheckResult]:
    found = known(facts.clashes)
    if found:
        yield problem(
            f"both sites have images of their own with the same names: {first_few(found)}; only one site's "
            "are mirrored",
            "copy them into a datastore of another pool at one site, and remove them there",
        )
    else:
        yield ok("no name is used at both sites for different images")


def mode(facts: CheckFacts) -> Iterator[CheckResult]:
    """All images in the datastore's mode."""
    images = [image for image in known(facts.images) if image.mode is not None]
    other = [image.name for image in images if image.mode is not facts.settings.mode]
    if other:
        yield warn(f"mirrored in another mode than DR_MODE={facts.settings.mode.value}: {first_few(other)}",
                   f"onedr disable {facts.datastore}, then onedr enable: the mode changes only so")
    else:
        yield ok(f"{len(images)} image(s) are mirrored in mode {facts.settings.mode.value}")
    card = facts.there.card
    if isinstance(card, SiteInfo) and card.mode != facts.settings.mode.value:
        yield warn(
            f"DR_MODE is {facts.settings.mode.value} here and {card.mode} at the peer: after a failover new "
            "images are mirrored otherwise",
            f"onedatastore update {facts.datastore}, at one of the sites",
        )


def schedules(facts: CheckFacts) -> Iterator[CheckResult]:
    if facts.settings.mode is not Mode.SNAPSHOT:
        yield ok("journal mode needs no schedule of mirror snapshots")
        return
    primaries = {image.name for image in known(facts.images) if image.mode is Mode.SNAPSHOT and image.primary}
    without = sorted(primaries - known(facts.schedules))
    if without:
        yield problem(
            f"no schedule of mirror snapshots here for {first_few(without)}",
            f"onedr reconcile {facts.datastore}",
        )
    else:
        yield ok(
            f"all {len(primaries)} image(s) that are primary here have a schedule ({facts.settings.schedule})"
        )


def snapshots_kept(facts: CheckFacts) -> Iterator[CheckResult]:
    kept = known(facts.snapshots_kept)
    if facts.settings.mode is Mode.SNAPSHOT and kept < KEPT_WELL:
        yield warn(
            f"Ceph keeps {kept} mirror snapshots of an image; fewer than {KEPT_WELL} have damaged copies "
            "under load",
            f"ceph config set client rbd_mirroring_max_mirroring_snapshots {KEPT_WELL}",
        )
    else:
        yield ok(f"Ceph keeps {kept} mirror snapshots of an image" + (
            "; journal mode has none" if facts.settings.mode is Mode.JOURNAL else ""))


def state(facts: CheckFacts) -> Iterator[CheckResult]:
    """The datastore's state, as onedr status judges it: late copies, split brain, a site that came back.
    """
    found = known(facts.verdict)
    text = f"{found.state.value}: {found.message}"
    if found.state in (State.PROTECTED, State.STANDBY) and found.code != "RECEIVING":
        yield ok(text)
    elif found.state in _UNDER_WAY:
        yield warn(text, f"onedr status {facts.datastore}")
    else:
        yield problem(
            text,
            {
                State.UNPROTECTED: f"onedr enable {facts.datastore}",
                State.RETURNED: f"onedr reprotect {facts.datastore}",
                State.INTERRUPTED: f"onedr resume {facts.datastore}",
                State.SPLIT_BRAIN: "see docs/guard.md: stop the VMs of one site first",
            }.get(found.state, f"onedr status {facts.datastore}"),
        )


def unprotected(facts: CheckFacts) -> Iterator[CheckResult]:
    found = dict(known(facts.unprotected))
    for name, why in sorted(found.items()):
        yield problem(f"{name} is not protected: {why}", f"onedr reconcile {facts.datastore}")
    damaged = [image for image in known(facts.images) if image.problems and image.mode is not None]
    for image in damaged:
        yield problem(f"{image.name}: {'; '.join(image.problems)}", f"onedr reconcile {facts.datastore}")
    if not found and not damaged:
        yield ok("everything that shall be mirrored is")


def trade(facts: CheckFacts) -> Iterator[CheckResult]:
    """What DR_MODE and DR_CLONES mean on this release of Ceph, by the last probe."""
    flattened = facts.settings.mode is Mode.SNAPSHOT or facts.settings.flatten_clones
    proof = known(facts.proofs).get(facts.settings.mode)
    what = "clones are flattened first" if flattened else "clones stay thin on their mirrored base"
    text = f"{facts.settings.mode.value} mode, {what}"
    todo = f"onedr check {facts.datastore} --probe"
    wanted = {
        release
        for _, cluster in both(facts)
        if not isinstance(cluster.releases, Unknown)
        for release in cluster.releases
    }
    if proof is None:
        yield warn(f"{text}; how Ceph {', '.join(sorted(wanted)) or 'here'} mirrors was never probed", todo)
    elif wanted - set(proof.releases):
        yield warn(
            f"{text}; the last probe was on Ceph {', '.join(proof.releases)}, not on "
            f"{', '.join(sorted(wanted))}",
            todo,
        )
    else:
        yield _trade(text, proof, flattened, todo)


def _trade(text: str, proof: ProbeResult, flattened: bool, todo: str) -> CheckResult:
    release = ", ".join(proof.releases)
    if not proof.arrives or not proof.returns:
        which = "there" if not proof.arrives else "back"
        return problem(
            f"{text}; the last probe's image did not travel {which} unchanged on Ceph {release}", todo
        )
    lost = "" if proof.discards else "; discards do not arrive, the copy keeps the old bytes"
    if not proof.clones and not flattened:
        return problem(
            f"{text}; the probe found copies of clones damaged on Ceph {release}", "set DR_CLONES=FLATTEN"
        )
    clones = (
        "copies of clones are right"
        if proof.clones
        else "copies of clones are damaged, so they are not mirrored as clones"
    )
    return ok(f"{text}; probed on Ceph {release}: {clones}{lost}")


def disk_driver(facts: CheckFacts) -> Iterator[CheckResult]:
    """Kernel RBD cannot journal."""
    others = sorted(set(known(facts.disk_drivers)) - {"kvm", "qemu", "lxc", "dummy"})
    if facts.settings.mode is Mode.JOURNAL and others:
        text = (
            f"whether hosts with VM_MAD {', '.join(others)} open disks by librbd is not known; the kernel's "
            "RBD cannot journal"
        )
        yield warn(text, "DR_MODE=SNAPSHOT if they map disks with krbd")
    else:
        yield ok("the hosts' drivers open disks by librbd or rbd-nbd")


def network_map(facts: CheckFacts) -> Iterator[CheckResult]:
    """Every network that DR_NETWORK_MAP leads to is here."""
    here = known(facts.networks)
    absent = [f"{there}={target}" for there, target in facts.settings.network_map if target not in here]
    drill = facts.settings.drill_network
    if absent:
        text = f"DR_NETWORK_MAP names networks that are not here: {', '.join(absent)}"
        yield problem(text, f"onedatastore update {facts.datastore}")
    elif drill and drill not in here:
        yield problem(
            f"DR_DRILL_NETWORK={drill} is not here",
            f"onevnet create, or onedatastore update {facts.datastore}",
        )
    else:
        yield ok(f"DR_NETWORK_MAP has {len(facts.settings.network_map)} entries, their networks are here")


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
            "the guard before OpenNebula does not know this datastore: a returned site would start its VMs",
            f"onedr reconcile {facts.datastore}",
        )


def record_keys(facts: CheckFacts) -> Iterator[CheckResult]:
    card, own = facts.there.card, known(facts.key)
    if isinstance(card, Unknown) or card is None:
        why = card.reason if isinstance(card, Unknown) else "it has left no word in its pool yet"
        yield warn(
            f"whether the peer has the same record key is not known: {why}", "onedr reconcile at the peer"
        )
    elif own and card.key == own:
        yield ok("both sites have the same record key")
    elif own and not card.key:
        yield problem("the peer has no record key: VMs come up there without their secrets, and its unsigned "
                      "records are not believed here",
                  "copy etc/onedr/record.key there, mode 0600")
    elif not own and card.key:
        yield problem("this site has no record key, the peer has: VMs come up here without their secrets, "
                      "and forged records are believed",
                  "copy etc/onedr/record.key from the peer, mode 0600")
    elif own:
        yield problem("the sites have different record keys: sealed secrets do not open at the other, and "
                      "neither believes the other's records",
                  "copy one record.key to both sites")
    else:
        yield warn(
            "neither site has a record key: secrets of VMs are left out of records, and forged records are "
            "believed",
            "docs/records.md: make one, copy it",
        )
