"""Roles read at both sites after the last promotion: the verdict of a run is made from them."""
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import rados
import rbd

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.model.errors import OneDRError
from onedr.model.records import Epoch
from onedr.model.text import Sentence, filled, named
from onedr.replication import epoch

_TERM_LIMIT_S, _THREADS = 10, 100


@dataclass(frozen=True)
class FinalRoles:
    """`lost`: promoted here, and not primary here. `split`: primary at both sites. Names of images.

    `unread`: why the peer's roles are not known; empty when they were read.
    """

    lost: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    unread: str = ""

    def failures(self) -> dict[str, str]:
        """By image, what is wrong with it."""
        return {
            **dict.fromkeys(self.lost, "it is not primary here although Ceph accepted its promotion"),
            **dict.fromkeys(self.split, "it is primary at both sites"),
        }

    def warning(self) -> Sentence:
        """What people must know first when images are split."""
        text = "Primary at both sites: {}. Stop the VMs of one site before anything else; see docs/guard.md."
        return filled(text, named(self.split))


def read_roles(
    here: Pool, there: Pool | None, unreachable: str, promoted: Iterable[str], names: Iterable[str]
) -> FinalRoles:
    """Read them. `promoted`: images that this run promoted; `names`: all that it looks at.

    `there` None: the peer cannot be reached, as `unreachable` says. Raises StorageError, rbd.Error when this
    site cannot be read.
    """
    own = mirroring.roles(here)
    lost = tuple(sorted(name for name in promoted if name not in own or not own[name].primary))
    if there is None:
        return FinalRoles(lost, unread=unreachable)
    try:
        primary_there = {role.global_id for role in mirroring.roles(there).values() if role.primary}
    except (OneDRError, rados.Error, rbd.Error) as error:
        return FinalRoles(lost, unread=str(error))
    mine = {name: own[name].global_id for name in names if name in own and own[name].primary}
    return FinalRoles(lost, tuple(sorted(name for name, each in mine.items() if each in primary_there)))


def read_terms(there: Pool | None, names: Iterable[str]) -> dict[str, Epoch | None]:
    """Terms of the peer's images by name; one that cannot be read within 10 s is left out."""
    if there is None:
        return {}
    pool = there

    def one(name: str) -> Epoch | None:
        with pool.image(name, read_only=True) as image:
            return epoch.epoch_of(image)

    found = parallel.each(names, one, _TERM_LIMIT_S, _THREADS)
    return {name: term for name, term in found.items() if not isinstance(term, OneDRError)}
