"""What is noted on a disk of its points in time: moments of which all disks of a VM hold the content at once
(docs/points.md).

The content is a group snapshot on each disk (ceph.group_snapshots), which the journals carry to the peer.
What Ceph does not keep of it is metadata `onedr.points` of each disk, which mirroring carries too: one line
of JSON, `{"generation", "fsid", "points", "until", "mac"}`. `points`: by the snapshot's name without its
beginning, the time in epoch seconds by the clock of the site that took it, the seconds that writers waited,
and why it is pinned. `until`: by the same name, the moment until which it is locked; absent when none is, and
in notes of releases before. `mac` is there where the site has a record key. Pure, but for what signs.
"""
from __future__ import annotations

import json
from collections.abc import Mapping

from onedr.model.json_form import Json, parsed
from onedr.model.records import PointNote, Proof
from onedr.replication import signature
from onedr.replication.record_fields import moment
from onedr.replication.signature import Signer

KEY = "onedr.points"
MOST_PIN = 100  # characters of why a point is pinned
_BEGIN = ".group."


def encode(fsid: str, notes: Mapping[str, PointNote], signer: Signer | None, now: float) -> str:
    """The notes of one disk's points, by the names of their snapshots."""
    head: Json = {
        "generation": int(now * 1e6), "fsid": fsid,
        "points": {
            name[len(_BEGIN):]: [round(note.at, 3), round(note.stall_s, 3), note.pin]
            for name, note in sorted(notes.items()) if name.startswith(_BEGIN)
        },
    }
    locked = {name[len(_BEGIN):]: round(note.until, 3) for name, note in sorted(notes.items()) if note.until}
    if locked:
        head["until"] = locked
    if signer is not None:
        head[signature.FIELD] = signature.sign(signer, KEY, head)
    return json.dumps(head, separators=(",", ":"))


def decode(text: str, signer: Signer | None) -> dict[str, PointNote]:
    """What is noted; nothing when it is damaged, or not authentic at a site with a record key."""
    try:
        head = parsed(text)
        if signature.proof(signer, KEY, head) not in (Proof.AUTHENTIC, Proof.UNCHECKED):
            return {}
        until = head.get("until", {})
        return {
            f"{_BEGIN}{name}": PointNote(
                moment(at), moment(stall_s), str(pin)[:MOST_PIN], moment(until.get(name, 0.0))
            )
            for name, (at, stall_s, pin) in head["points"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return {}
