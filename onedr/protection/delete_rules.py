"""May an image be removed? Only where no good copy is lost by it
(docs/design.md, "Never delete the last copy").
"""
from __future__ import annotations

from dataclasses import dataclass


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


def refusal(facts: RemovalFacts) -> str | None:
    """None when the image may be removed, else why not and what to do."""
    if facts.same_source:
        others = ", ".join(facts.same_source)
        return (
            f"image {others} has the same SOURCE, so its data would be deleted too. Keep this entry, or "
            "delete the other one first."
        )
    if facts.children:
        return f"it is the base of {', '.join(facts.children)}. Delete them first."
    if facts.mirrored and not facts.primary:
        return (
            "it is this site's copy of the peer's data. Delete the image at the peer, or end its protection "
            "there."
        )
    if facts.from_peer and not facts.peer_copy and not facts.unprotected_by_user:
        return (
            "it was taken over from the peer and is the only good copy. To delete it anyway, set "
            "DR_PROTECT=NO on the image, then delete it again."
        )
    return None
