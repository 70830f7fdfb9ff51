"""What Ceph users may: the least that works, each right with its reason. docs/security.md shows them, a test
compares.

A right that is missing makes something fail; tests/bed/test_setup_caps.py takes each away and shows what.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PEER = "client.rbd-mirror-peer"  # Ceph's own name for the user the other site's rbd-mirror comes as
DAEMON_PREFIX = "client.rbd-mirror."
JOIN_PREFIX = "client.onedr-join."
_COMMA = re.compile(r""",(?=(?:[^"']*["'][^"']*["'])*[^"']*$)""")
_SPACES = re.compile(r"\s+")
_POOL = re.compile(r" pool=\S+$")


@dataclass(frozen=True)
class Grant:
    """One right: of which service, in Ceph's words, and what it is for."""

    service: str  # mon, osd, mgr
    text: str
    why: str


def datastore_user(pools: Iterable[str]) -> tuple[Grant, ...]:
    """CEPH_USER of a datastore: OneDR, the front-end's drivers and the hosts' VMs.

    `pools`: its pool, and EC_POOL_NAME.
    """
    return (
        Grant(
            "mon", "profile rbd", "connect; shut out a dead writer, and rbd-mirror before a forced promotion"
        ),
        Grant(
            "mon",
            'allow command "config-key get" with key prefix rbd/mirror/peer/',
            "read the key of the peer that Ceph keeps: look at its copies, and demote them before a failover",
        ),
        *(
            Grant("osd", f"profile rbd pool={pool}", "make, mirror, promote and demote images")
            for pool in sorted(set(pools))
        ),
        *(
            Grant("mgr", f"profile rbd pool={pool}", "schedules of mirror snapshots")
            for pool in sorted(set(pools))
        ),
    )


def daemon(pools: Iterable[str]) -> tuple[Grant, ...]:
    """The user of this site's rbd-mirror."""
    return (
        Grant("mon", "profile rbd-mirror", "connect; read where the peer is and with which key"),
        *(Grant("osd", f"profile rbd pool={pool}", "write the copies") for pool in sorted(set(pools))),
    )


def peer(pools: Iterable[str]) -> tuple[Grant, ...]:
    """The user as which the other site's rbd-mirror and OneDR come here."""
    return (
        Grant("mon", "profile rbd-mirror-peer", "connect; tell this site where the other one is"),
        *(Grant("osd", f"profile rbd pool={pool}", "read the images, write how far the copies are; fence")
          for pool in sorted(set(pools))),
    )


# What Ceph itself gives that user; `mirror_peer_bootstrap_create` and `_import` refuse one with other rights
# (EEXIST).
PEER_BY_CEPH = {"mon": "profile rbd-mirror-peer", "osd": "profile rbd"}


def joiner(join_id: str) -> tuple[Grant, ...]:
    """The user of a join file: fetch the one sealed message, remove it, and end itself."""
    key, own = f"onedr/join/{join_id}", f"{JOIN_PREFIX}{join_id}"
    return (
        Grant("mon", f'allow command "config-key get" with key={key}', "fetch the sealed message"),
        Grant("mon", f'allow command "config-key rm" with key={key}', "remove it: the file works once"),
        Grant(
            "mon",
            f'allow command "auth rm" with entity={own}',
            "end itself: the file is worthless afterwards",
        ),
    )


def text(grants: Iterable[Grant]) -> dict[str, str]:
    """Caps as Ceph takes them, by service."""
    found: dict[str, list[str]] = {}
    for grant in grants:
        found.setdefault(grant.service, []).append(grant.text)
    return {service: ", ".join(texts) for service, texts in found.items()}


def merged(have: Mapping[str, str], grants: Iterable[Grant]) -> dict[str, str]:
    """`have` and what of `grants` it lacks; nothing is ever taken away: others may need it."""
    caps = dict(have)
    for grant in grants:
        if not _covers(caps.get(grant.service, ""), grant.text):
            caps[grant.service] = ", ".join(
                filter(None, (caps.get(grant.service, "").strip(" ,"), grant.text))
            )
    return caps


def covers(have: Mapping[str, str], grants: Iterable[Grant]) -> bool:
    """Has it all of them?"""
    return all(_covers(have.get(grant.service, ""), grant.text) for grant in grants)


def _covers(cap: str, wanted: str) -> bool:
    known = {_plain(part) for part in _COMMA.split(cap)}
    plain = _plain(wanted)
    return bool(known & {"allow *", "allow all", plain, _POOL.sub("", plain)})


def _plain(grant: str) -> str:
    """One form of what Ceph reads alike: quotes and spaces do not matter, `allow profile x` is `profile x`.
    """
    found = _SPACES.sub(" ", re.sub(r"[\"']", "", grant)).strip()
    found = re.sub(r" ?= ?", "=", found)
    return found.removeprefix("allow ") if found.startswith("allow profile ") else found


def packed(caps: Mapping[str, str] | None) -> str | None:
    """Caps as one text, the same for the same; None stays None: there is no such user."""
    return None if caps is None else json.dumps(dict(sorted(caps.items())))


def unpacked(value: str) -> dict[str, str]:
    """What `packed` made."""
    return {str(service): str(cap) for service, cap in json.loads(value).items()}


def shown(value: str | None) -> str:
    """Packed caps for people: `mon 'profile rbd' osd 'profile rbd pool=one'`."""
    if value is None:
        return "no such user"
    return " ".join(f"{service} '{cap}'" for service, cap in unpacked(value).items()) or "no rights"
