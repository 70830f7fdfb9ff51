"""Checks of the whole front-end."""
from __future__ import annotations

from collections.abc import Iterator

from onedr.check.facts import CheckResult, SiteFacts, known, ok, problem, warn
from onedr.model import parsing
from onedr.model.text import first_few


def oned(facts: SiteFacts) -> Iterator[CheckResult]:
    yield ok(f"oned {known(facts.oned)} answers")


def configuration(facts: SiteFacts) -> Iterator[CheckResult]:
    yield ok(f"{known(facts.configuration)} is valid")


def record_key(facts: SiteFacts) -> Iterator[CheckResult]:
    if known(facts.key):
        yield ok(
            f"the record key exists and is readable by its owner only (fingerprint {known(facts.key)[:8]})"
        )
    else:
        yield warn("there is no record key: secrets of VMs are not recorded, and forged records are believed",
                   "see docs/records.md: create one and copy it to the peer")


def peer_front_end(facts: SiteFacts) -> Iterator[CheckResult]:
    endpoint = known(facts.peer_front_end)
    if endpoint and parsing.in_plain_text(endpoint):
        yield ok(
            f"the peer's front-end answers ({endpoint}); insecure, as onedr.conf wants it: its password "
            "travels readably over http"
        )
    elif endpoint:
        yield ok(f"the peer's front-end answers ({endpoint})")
    else:
        yield warn(
            "the peer's front-end is not configured: planned moves are not possible, and it is unknown "
            "whether VMs would start there",
            "docs/configuration.md: peer.endpoint and peer.auth",
        )


def fence_command(facts: SiteFacts) -> Iterator[CheckResult]:
    """A refused connection is no evidence of a dead peer: what is there to fence it?"""
    program, usable = known(facts.fence_command)
    if usable:
        yield ok(f"the fence command {program} is there")
    elif program:
        yield problem(f"the fence command {program} cannot be run", f"chmod +x {program}; see onedr.conf")
    else:
        yield warn(
            "there is no fence command: when neither the peer's Ceph nor its front-end answers, a failover "
            "rests on the operator's confirmation alone",
            "docs/configuration.md: fence.command",
        )


def hooks(facts: SiteFacts) -> Iterator[CheckResult]:
    number = known(facts.hooks)
    if number:
        yield ok(f"oned has {number} hooks of OneDR")
    else:
        yield warn("oned has none of OneDR's hooks: only the keeper records changes, up to 30 s late",
                   "install.sh --hooks")


def restricted(facts: SiteFacts) -> Iterator[CheckResult]:
    free = known(facts.unrestricted)
    if not free:
        yield ok("users cannot change OneDR's own marks on VMs and images")
    else:
        yield warn(
            f"users may change OneDR's marks on their VMs and images ({first_few(free)}): nothing is decided "
            "by them, but what they show may be wrong",
            "install.sh, then restart oned",
        )


def guard_unit(facts: SiteFacts) -> Iterator[CheckResult]:
    if known(facts.guard_unit):
        yield ok("OpenNebula starts only after onedr-guard.service")
    else:
        yield warn(
            "systemd does not run the boot guard before OpenNebula here: a returned site may start VMs "
            "that run at the peer",
            "start oned by: onedr guard --wait 300 && …",
        )


def sunstone(facts: SiteFacts) -> Iterator[CheckResult]:
    found, todo = known(facts.sunstone), "onedr sunstone install"
    if found is None:
        yield ok("no Sunstone of 7.0 or newer is installed here")
    elif not found.installed:
        yield ok(f"Sunstone here has no page of OneDR ({todo} puts it in)")
    elif found.blocking:
        yield problem(f"Sunstone cannot start for anybody: {found.blocking}", todo)
    elif found.lacking:
        yield warn(f"OneDR's page in Sunstone is not whole: {first_few(found.lacking)}", todo)
    else:
        yield ok("OneDR's page in Sunstone is whole")


def datastores(facts: SiteFacts) -> Iterator[CheckResult]:
    found = known(facts.datastores)
    if found:
        yield ok(f"{len(found)} datastore(s) are protected: {first_few(found)}")
    else:
        yield warn("no datastore is protected: run onedr enable with a name of the list", "onedatastore list")
