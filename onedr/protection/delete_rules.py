"""May an image be removed? Only where no good copy is lost by it
(docs/design.md, "Never delete the last copy").
"""
from __future__ import annotations

from dataclasses import dataclass

from onedr.model.text import Sentence


@dataclass(frozen=True)
class RemovalFacts:
    """What is known about an RBD image that is to be removed."""

    mirrored: bool
    primary: bool
    peer_copy: bool  # the peer's rbd-mirror reports a replaying copy
    from_peer: bool  # it was created at the other site and taken over
    children: tuple[str, ...]
    same_source: tuple[str, ...]
    unprotected_by_user: bool  # DR_PROTECT=NO on not a clone: the disk is the image itself
    locked: Sentence | None = None  # why a point in time of it keeps it


def refusal(facts: RemovalFacts) -> Sentence | None:
    """None when the image may be removed, else why not and what to do. Other people's images and VMs are not
    named in what is public of it.
    """
    if facts.same_source:
        return Sentence(
            f"image {', '.join(facts.same_source)} has the same SOURCE, so its data would be deleted too. "
            "Keep this entry, or delete the other one first.",
            f"{len(facts.same_source)} other image(s) have the same SOURCE, so their data would be deleted "
            "too. Keep this entry, or delete the other one first; oned.log names it.",
        )
    if facts.children:
        return Sentence(
            f"it is the base of {', '.join(facts.children)}. Delete them first.",
            f"it is the base of {len(facts.children)} other image(s) or disk(s). They are deleted first; "
            "oned.log names them.",
        )
    if facts.locked:
        return facts.locked
    if facts.mirrored and not facts.primary:
        return Sentence(
            "it is this site's copy of the peer's data. Delete the image at the peer, or end its protection "
            "there."
        )
    if facts.from_peer and not facts.peer_copy and not facts.unprotected_by_user:
        return Sentence(
            "it was taken over from the peer and is the only good copy. To delete it anyway, set "
            "DR_PROTECT=NO on the image, then delete it again."
        )
    return None
