"""Checks of what Ceph itself puts around the images: the line between the sites, keys, groups, locks.

Each yields at least one result. The facts that it needs are known.
"""
from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from onedr.check.facts import CheckFacts, CheckResult, Unknown, known, ok, problem, warn
from onedr.check.rules_cluster import both
from onedr.model.text import first_few
from onedr.model.types import OWN_GROUPS

_OLD, _NEW = "aes", "aes256k"  # types of cephx keys
_WIDEN = "ceph mon set auth_allowed_ciphers aes,aes256k"


def line(facts: CheckFacts) -> Iterator[CheckResult]:
    """An unencrypted line is no fault: it may be the operator's own, or a VPN."""
    for where, cluster in both(facts):
        found, what = cluster.line_mode, f"{where}: what the other site's rbd-mirror reads"
        if isinstance(found, Unknown):
            yield warn(f"{where}: it is unknown whether data is encrypted on the line: {found.reason}")
        elif found == "secure":
            yield ok(f"{what} is encrypted on the line (msgr2 secure)")
        elif found:
            yield ok(
                f"{what} is not encrypted on the line ({found}); docs/security.md says how to change that"
            )
        else:
            yield problem(
                f"{where}: ms_client_mode of client.rbd-mirror-peer and ms_service_mode of the OSDs have no "
                "mode in common: the other site's rbd-mirror cannot read images",
                "ceph config rm client.rbd-mirror-peer ms_client_mode",
            )


def ciphers(facts: CheckFacts) -> Iterator[CheckResult]:
    """Releases before 19.2.6 and 20.2.4 cannot read keys of type aes256k (docs/ceph-facts.md C47)."""
    sites = list(both(facts))
    good = True
    for (where, own), (other_where, other) in (tuple(sites), tuple(reversed(sites))):
        allowed = known(own.ciphers)
        old = [release for release in known(other.releases) if not reads_new_keys(release)]
        if not old or _NEW not in allowed:
            continue
        good = False
        text = f"{where}: {{}}, and Ceph {', '.join(old)} {other_where} reads {_OLD} only"
        if _OLD in allowed:
            yield ok(text.format(f"keys of types {', '.join(allowed)} are allowed") + (
                f"; keep {_OLD} allowed until it is upgraded"))
        else:
            yield problem(
                text.format(f"only keys of type {_NEW} are allowed") + ": such a pair is not possible", _WIDEN
            )
    if good:
        yield ok("each site's Ceph can read the other one's keys")


def reads_new_keys(release: str) -> bool:
    """Does this release of Ceph read keys of type aes256k?"""
    found = re.match(r"([0-9]+)\.([0-9]+)\.([0-9]+)", release)
    version = tuple(map(int, found.groups())) if found else ()
    return version >= (20, 2, 4) or (19, 2, 6) <= version < (20,)


def groups(facts: CheckFacts) -> Iterator[CheckResult]:
    """OpenNebula deletes disks; Ceph does not remove a member of a group."""
    mirrored = {image.name for image in known(facts.images) if image.mode is not None}
    found = {
        name: group for name, group in known(facts.groups).items()
        if name in mirrored and not group.startswith(OWN_GROUPS)
    }
    if not found:
        yield ok("no mirrored image is in an RBD group of others")
        return
    name, group = min(found.items())
    shown = first_few([f"{name} ({group})" for name, group in sorted(found.items())])
    yield warn(
        f"members of RBD groups that OneDR did not make: {shown}; Ceph does not remove them while they are, "
        "and the groups are not mirrored",
        f"rbd group image rm <pool>/{shlex.quote(group)} <pool>/{shlex.quote(name)}",
    )


def locks(facts: CheckFacts) -> Iterator[CheckResult]:
    """`rbd lock add` stays when its maker dies, and then nothing can write to the image."""
    found = sorted(known(facts.locks).items())
    for name, (cookie, client) in found:
        yield problem(
            f"{name} is locked by rbd lock add ({cookie}, {client}): no VM can write to it, and it is "
            "neither demoted nor deleted",
            f"when nothing uses it there: rbd lock rm <pool>/{shlex.join([name, cookie, client])}",
        )
    if not found:
        yield ok("no image that is primary here is locked by rbd lock add")
