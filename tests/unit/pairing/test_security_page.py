"""docs/security.md shows the rights that are given, no other ones."""
from __future__ import annotations

from pathlib import Path

from onedr.pairing import ceph_caps

_PAGE = Path(__file__).parents[3] / "docs" / "security.md"
_USERS = {
    "the datastore's `CEPH_USER`": ceph_caps.datastore_user(["one"]),
    "`client.rbd-mirror.<site>`": ceph_caps.daemon(["one"]),
    "`client.rbd-mirror-peer`": ceph_caps.peer(["one"]),
    "`client.onedr-join.<id>`": ceph_caps.joiner("<id>"),
}


def test_the_page_shows_every_right_and_what_it_is_for() -> None:
    wanted = [
        f"| {user} | {grant.service} `{grant.text}` | {grant.why} |"
        for user, grants in _USERS.items()
        for grant in grants
    ]
    shown = [
        line
        for line in _PAGE.read_text().splitlines()
        if line.startswith(tuple(f"| {user} | m" for user in _USERS))
        or line.startswith(tuple(f"| {user} | osd" for user in _USERS))
    ]
    assert shown == wanted
