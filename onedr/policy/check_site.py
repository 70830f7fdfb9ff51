"""Checks of the whole front-end."""
from __future__ import annotations

from collections.abc import Iterator

from onedr.policy.check_facts import Said, SiteFacts, ok, some, sure, warn


def oned(facts: SiteFacts) -> Iterator[Said]:
    yield ok(f"oned {sure(facts.oned)} answers")


def configuration(facts: SiteFacts) -> Iterator[Said]:
    yield ok(f"{sure(facts.configuration)} is in order")


def record_key(facts: SiteFacts) -> Iterator[Said]:
    if sure(facts.key):
        yield ok(f"the record key is there, for its owner only (fingerprint {sure(facts.key)[:8]})")
    else:
        yield warn("there is no record key: secrets of VMs are left out of records",
                   "docs/records.md: make one, copy it to the peer")


def peer_front_end(facts: SiteFacts) -> Iterator[Said]:
    endpoint = sure(facts.peer_front_end)
    if endpoint:
        yield ok(f"the peer's front-end answers ({endpoint})")
    else:
        yield warn("the peer's front-end is not configured: no planned moves, and whether VMs would start there is not known",
                   "docs/configuration.md: peer.endpoint and peer.auth")


def hooks(facts: SiteFacts) -> Iterator[Said]:
    number = sure(facts.hooks)
    if number:
        yield ok(f"oned has {number} hooks of OneDR")
    else:
        yield warn("oned has none of OneDR's hooks: changes are recorded by the keeper only, up to 30 s late",
                   "install.sh --hooks")


def guard_unit(facts: SiteFacts) -> Iterator[Said]:
    if sure(facts.guard_unit):
        yield ok("OpenNebula starts only after onedr-guard.service")
    else:
        yield warn("systemd does not run the guard before OpenNebula here: a returned site may start VMs that run at the peer",
                   "start oned by: onedr guard --wait 300 && …")


def datastores(facts: SiteFacts) -> Iterator[Said]:
    found = sure(facts.datastores)
    if found:
        yield ok(f"{len(found)} datastore(s) are protected: {some(found)}")
    else:
        yield warn("no datastore is protected", "onedr enable <datastore>")
