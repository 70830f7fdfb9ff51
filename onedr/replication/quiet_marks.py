"""Quiet marks: one statement for all disks of a datastore that were not written to since their own time marks
(docs/marks.md has the argument why a copy may be believed by it).

Metadata `onedr.quiet` of one protected image, which mirroring carries to the peer: one line of JSON,
`{"generation", "fsid", "until", "marks", "mac"}`. `fsid` is the writing site's cluster, `marks` base64 of the
digests of the marks that still hold, `until` the moment until which they do, in epoch seconds by that site's
clock; `mac` is there where the site has a record key. Pure, but for what signs.
"""
from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping

from onedr.model.json_form import Json, parsed
from onedr.model.records import Proof
from onedr.replication import signature
from onedr.replication.record_fields import moment
from onedr.replication.records import MARK_KEY
from onedr.replication.recovery_point import Point
from onedr.replication.signature import Signer

KEY = "onedr.quiet"
# In a site's published options: it reads quiet marks. An earlier release would find idle disks' marks old.
OPTION = ("onedr_quiet_marks", "1")
MOST_MARKS = 4000  # 43 KiB; a value of metadata stays at 60 KiB or less (docs/ceph-facts.md C10)
_DIGEST_BYTES = 8

Until = Mapping[bytes, float]  # by digest of a mark, until when it holds


def digest(global_id: str, mark: str) -> bytes:
    """Of an image's time mark as it is in its metadata; `global_id`: the image's mirroring id."""
    return hashlib.blake2b(f"{global_id} {mark}".encode(), digest_size=_DIGEST_BYTES).digest()


def encode(fsid: str, until: float, marks: Iterable[bytes], signer: Signer | None) -> str:
    """The statement that these marks (digests, at most MOST_MARKS) hold until then."""
    head: Json = {
        "generation": int(until * 1e6), "fsid": fsid, "until": round(until, 3),
        "marks": base64.b64encode(b"".join(sorted(marks))).decode(),
    }
    if signer is not None:
        head[signature.FIELD] = signature.sign(signer, KEY, head)
    return json.dumps(head)


def decode(text: str, signer: Signer | None, here: str) -> dict[bytes, float]:
    """What a statement says of copies in the cluster `here`; nothing when it is damaged, or not authentic at
    a site with a record key, or this site's own: then each copy's own mark counts.

    A site that was cut off states what its own images miss nothing of; of the copies that it holds after the
    other site took over that says nothing.
    """
    try:
        head = parsed(text)
        if signature.proof(signer, KEY, head) not in (Proof.AUTHENTIC, Proof.UNCHECKED):
            return {}
        if str(head["fsid"]) == here:
            return {}
        until, marks = moment(head["until"]), base64.b64decode(head["marks"], validate=True)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return {}
    if len(marks) % _DIGEST_BYTES:
        return {}
    return {marks[at:at + _DIGEST_BYTES]: until for at in range(0, len(marks), _DIGEST_BYTES)}


def newest(statements: Iterable[Until]) -> dict[bytes, float]:
    """All of them together: each mark until the last moment that one of them says."""
    found: dict[bytes, float] = {}
    for statement in statements:
        for mark, until in statement.items():
            found[mark] = max(until, found.get(mark, until))
    return found


def extended(point: Point, global_id: str, metadata: Mapping[str, str], until: Until) -> Point:
    """The recovery point of a journal-mode copy, whose own mark gives `point`, with what a statement says of
    that mark. `metadata`: the copy's own.
    """
    if point.at is None or MARK_KEY not in metadata:
        return point
    return Point(point.complete, max(point.at, until.get(digest(global_id, metadata[MARK_KEY]), point.at)))
