"""The caps of Ceph users: the least that works, each with its reason. docs/security.md lists them; a test
compares both.

tests/bed/test_setup_caps.py removes each cap in turn and shows what fails.
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

PEER = "client.rbd-mirror-peer"  # Ceph's own name of the user of the other site's rbd-mirror
DAEMON_PREFIX = "client.rbd-mirror."
JOIN_PREFIX = "client.onedr-join."
_COMMA = re.compile(r""",(?=(?:[^"']*["'][^"']*["'])*[^"']*$)""")
_SPACES = re.compile(r"\s+")
_POOL = re.compile(r" pool=\S+$")


@dataclass(frozen=True)
class Grant:
    """One capability of a service, and what it is for."""

    service: str  # mon, osd, mgr
    text: str
    why: str


def datastore_user(pools: Iterable[str]) -> tuple[Grant, ...]:
    """CEPH_USER of a datastore: OneDR, the front-end's drivers and the hosts' VMs.

    `pools`: its pool, and EC_POOL_NAME.
    """
    return (
        Grant(
            "mon", "profile rbd", "connect; blocklist dead writers, and rbd-mirror before a forced promotion"
        ),
        Grant(
            "mon",
            'allow command "config-key get" with key prefix rbd/mirror/peer/',
            "read the peer's key from Ceph: read the copies there, and demote them before a failover",
        ),
        *(
            Grant("osd", f"profile rbd pool={pool}", "create, mirror, promote and demote images")
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
        Grant("mon", "profile rbd-mirror", "connect; read the peer's address and key"),
        *(Grant("osd", f"profile rbd pool={pool}", "write the copies") for pool in sorted(set(pools))),
    )


def peer(pools: Iterable[str]) -> tuple[Grant, ...]:
    """The user with which the other site's rbd-mirror and OneDR connect here."""
    return (
        Grant("mon", "profile rbd-mirror-peer", "connect; tell this site the address of the other one"),
        *(Grant("osd", f"profile rbd pool={pool}", "read the images, write the replication position; fence")
          for pool in sorted(set(pools))),
    )


# The caps that Ceph itself gives that user;
# `mirror_peer_bootstrap_create` and `_import` refuse a user with other caps (EEXIST).
PEER_BY_CEPH = {"mon": "profile rbd-mirror-peer", "osd": "profile rbd"}


def joiner(join_id: str) -> tuple[Grant, ...]:
    """The user of a join file: fetch the one encrypted message, remove it, and remove itself."""
    key, own = f"onedr/join/{join_id}", f"{JOIN_PREFIX}{join_id}"
    return (
        Grant("mon", f'allow command "config-key get" with key={key}', "fetch the encrypted message"),
        Grant("mon", f'allow command "config-key rm" with key={key}', "remove it: the file works once"),
        Grant(
            "mon",
            f'allow command "auth rm" with entity={own}',
            "remove itself: the file is useless afterwards",
        ),
    )


def text(grants: Iterable[Grant]) -> dict[str, str]:
    """Caps in the form that Ceph accepts, by service."""
    found: dict[str, list[str]] = {}
    for grant in grants:
        found.setdefault(grant.service, []).append(grant.text)
    return {service: ", ".join(texts) for service, texts in found.items()}


def merged(have: Mapping[str, str], grants: Iterable[Grant]) -> dict[str, str]:
    """`have` with the missing ones of `grants` added. Nothing is ever removed, because others may need it."""
    caps = dict(have)
    for grant in grants:
        if not _covers(caps.get(grant.service, ""), grant.text):
            caps[grant.service] = ", ".join(
                filter(None, (caps.get(grant.service, "").strip(" ,"), grant.text))
            )
    return caps


def _covers(cap: str, wanted: str) -> bool:
    known = {_plain(part) for part in _COMMA.split(cap)}
    plain = _plain(wanted)
    return bool(known & {"allow *", "allow all", plain, _POOL.sub("", plain)})


def _plain(grant: str) -> str:
    """A normal form of equivalent caps: without quotes and extra spaces, `allow profile x` as `profile x`."""
    found = _SPACES.sub(" ", re.sub(r"[\"']", "", grant)).strip()
    found = re.sub(r" ?= ?", "=", found)
    return found.removeprefix("allow ") if found.startswith("allow profile ") else found


def packed(caps: Mapping[str, str] | None) -> str | None:
    """Caps as text, equal for equal caps. None remains None: there is no such user."""
    return None if caps is None else json.dumps(dict(sorted(caps.items())))


def unpacked(value: str) -> dict[str, str]:
    """Caps from `packed` text."""
    return {str(service): str(cap) for service, cap in json.loads(value).items()}


def shown(value: str | None) -> str:
    """Packed caps for people: `mon 'profile rbd' osd 'profile rbd pool=one'`."""
    if value is None:
        return "no such user"
    return " ".join(f"{service} '{cap}'" for service, cap in unpacked(value).items()) or "no rights"
