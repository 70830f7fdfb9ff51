"""This site may have come back after the other took over: what of each image's role here still holds. Pure
(docs/guard.md).

Both sites judge by the same rule, and it is symmetric: of two primaries only the one with the lower term is
stale, so the two never give up the same image both, and neither does while anything is not known.
"""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from onedr.model.records import Epoch
from onedr.model.text import NOTHING, Sentence, filled, named


class Claim(str, Enum):
    """What becomes of an image here."""

    MINE = "mine"  # this site writes it
    COPY = "copy"  # this site receives it
    STALE = "stale"  # primary at both sites, and the other one took over later: to be demoted here
    ONLY_HERE = "only here"  # the peer never had it
    SPLIT = "split"  # primary at both sites, and nothing says who is right: the operator decides
    UNKNOWN = "unknown"  # the peer cannot be read


@dataclass(frozen=True)
class There:
    """The peer's image of that name, read there."""

    primary: bool
    epoch: Epoch | None


@dataclass(frozen=True)
class Known:
    """One mirrored image.

    `readable`: the peer answered; `there` None then means that it has no such image.
    """

    primary: bool
    epoch: Epoch | None
    readable: bool
    there: There | None


def judge_claim(known: Known) -> Claim:
    """Decide for one image."""
    if not known.primary:
        return Claim.COPY
    if not known.readable:
        return Claim.UNKNOWN
    if known.there is None:
        return Claim.ONLY_HERE
    if not known.there.primary:
        return Claim.MINE
    here, there = number(known.epoch), number(known.there.epoch)
    if here is None or there is None or here == there:
        return Claim.SPLIT
    return Claim.STALE if here < there else Claim.MINE


def number(epoch: Epoch | None) -> int | None:
    """0 for an image never promoted by OneDR; None for a term that cannot be read."""
    if epoch is None:
        return 0
    return epoch.number if epoch.number >= 0 else None


def split_refusal(split: Collection[str], datastore: str) -> Sentence:
    """Why a verb must not touch these images, for people; empty when there are none."""
    if not split:
        return NOTHING
    after = Sentence(
        ". Nothing was changed. Stop the VMs of the site that gives way, then run there: onedr reprotect "
        f"{datastore} --confirm {datastore}; see docs/guard.md."
    )
    text = "Primary at both sites, and nothing says who is right: {}"
    return filled(text, named(sorted(split))).then(after)
