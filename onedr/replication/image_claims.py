"""Whose each image is that is primary here: read from the images themselves, at both sites."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from onedr.ceph import mirroring, parallel
from onedr.ceph.connection import Pool
from onedr.ceph.mirroring import MirrorRole
from onedr.model.errors import OneDRError
from onedr.replication import epoch, peer_ceph
from onedr.replication.split_brain import Claim, Known, There, judge_claim

_THREADS = 16


def read_claims(pool: Pool, there: Pool, names: Iterable[str]) -> dict[str, Claim | OneDRError]:
    """By name, what becomes of each mirrored image that is primary here; an error for one that cannot be
    read. Only what is primary at both sites is opened.
    """
    wanted = set(names)
    return judge_roles(
        pool, there, {name: role for name, role in mirroring.roles(pool).items() if name in wanted}
    )


def judge_roles(
    pool: Pool, there: Pool, roles: Mapping[str, MirrorRole]
) -> dict[str, Claim | OneDRError]:
    """The same for images whose roles here are known."""
    here = {name: role for name, role in roles.items() if role.primary}
    if not here:
        return {}
    known = {role.global_id: (name, role.primary) for name, role in mirroring.roles(there).items()}

    def one(name: str) -> Claim:
        if here[name].global_id not in known:
            return judge_claim(Known(True, None, True, None))
        other, primary = known[here[name].global_id]
        if not primary:
            return judge_claim(Known(True, None, True, There(False, None)))
        with pool.image(name, read_only=True) as own, there.image(other, read_only=True) as image:
            peer = There(mirroring.is_mirrored_primary(image), epoch.epoch_of(image))
            return judge_claim(Known(mirroring.is_primary(own), epoch.epoch_of(own), True, peer))

    return parallel.each(here, one, peer_ceph.LIMIT_S * 3, _THREADS)


def split_images(pool: Pool, there: Pool | None, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that are primary at both sites with nothing to tell who is right.

    Empty when the peer cannot be read (`there` None).
    """
    found = read_claims(pool, there, names) if there is not None else {}
    return frozenset(name for name, claim in found.items() if claim is Claim.SPLIT)
