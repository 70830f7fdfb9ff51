"""The storage steps of a failover: fence, cut off the local rbd-mirror, promote;
each reads back what it promised.
"""
from __future__ import annotations

import time
from collections.abc import Iterable

import rbd

from onedr.ceph import image_journal, mirroring, orphan_snapshots, parallel
from onedr.ceph.connection import Pool
from onedr.host.waiting import attempts
from onedr.model.errors import OneDRError
from onedr.model.records import Epoch
from onedr.model.types import Mode
from onedr.replication import epoch, preserved_copies

_PAUSE_S = 0.3
_LOOK_LIMIT_S, _LOOKING, _FEW = 20, 32, 4  # seconds for one image, images at once, images looked at first
_CUT_OFF_S = 60
_LET_GO_S = 20
_cut: dict[str, float] = {}  # when this process cut off a client's address, by time.monotonic
# a demotion arrives within 12 s in journal mode with stock settings (docs/ceph-facts.md C17)
_UNFORCED_LIMIT_S = 60


def cut_off(pool: Pool, names: Iterable[str], seconds: int = _CUT_OFF_S) -> str:
    """Cut the local rbd-mirror off from the non-primary images in `names`: the recipe after which forced
    promotion never hung (docs/ceph-facts.md C21). Returns what was done. An image that cannot be read is
    named; its promotion has a limit of its own.

    One daemon works on many images: where the first few images show every daemon there is, the others are not
    looked at.
    """
    wanted, registered = list(names), mirroring.daemons(pool)
    addresses: dict[int, str] = {}
    unread = []
    for some in (wanted[:_FEW], wanted[_FEW:]):
        if registered and registered <= addresses.keys():
            break
        for name, found in parallel.each(
            some, lambda name: mirroring.replayers(pool, name), _LOOK_LIMIT_S, _LOOKING
        ).items():
            if isinstance(found, OneDRError):
                unread.append(f"{name}: {found}")
            else:
                addresses.update(found)
    for address in sorted(addresses.values()):
        mirroring.blocklist(pool, address, seconds)
        _cut[address] = time.monotonic()
    text = f"{len(addresses)} address(es) of rbd-mirror blocklisted for {seconds} s"
    return "; ".join([text, *unread])


def promote(pool: Pool, name: str, peer_demoted: bool, mode: Mode | None = None) -> str:
    """Make this site's copy the primary. Returns how. `mode`: how it is mirrored, where that is known.

    Plain first. When the peer was demoted, plain promotion is tried until its demotion has arrived; otherwise
    forced.
    """
    if mode is Mode.JOURNAL and not peer_demoted:
        return _take_journal(pool, name)
    if not peer_demoted:
        _cut_off_again(pool, name)
        orphan_snapshots.reveal(pool, name)
    with pool.image(name) as image:
        how = _promote(image, peer_demoted)
        if not mirroring.is_primary(image):
            raise _not_primary(name)
    return how


def _cut_off_again(pool: Pool, name: str) -> None:
    """Never in the middle of a sync, a part of which would stay in the image: an rbd-mirror that came after
    the run's cut-off, or that it could not see, is cut off now.
    """
    for address in mirroring.replayers(pool, name).values():
        # an OSD goes on listing the watch of a client until it knows that it is blocklisted
        if time.monotonic() - _cut.get(address, -_CUT_OFF_S) > _CUT_OFF_S / 2:
            mirroring.blocklist(pool, address, _CUT_OFF_S)
            _cut[address] = time.monotonic()


def _take_journal(pool: Pool, name: str) -> str:
    """Forced is plain wherever plain would do, in journal mode: the demoted site follows on
    (docs/measured.md).

    Nothing but the journal is written. So opened to read is enough, and a look into it is the proof: a
    seventh faster with hundreds of images (docs/bench.md).
    """
    try:
        image_id, how = _forced(pool, name, read_only=True)
    except rbd.ReadOnlyImage:  # 16.2 never says so
        image_id, how = _forced(pool, name, read_only=False)
    ours = image_journal.is_owned_here(pool, image_id)
    if ours is None:
        with pool.image(name, read_only=True) as image:
            ours = mirroring.is_primary(image)
    if not ours:
        raise _not_primary(name)
    return how


def _not_primary(name: str) -> OneDRError:
    return OneDRError(f"{name} is not primary although Ceph accepted its promotion")


def leave_term(pool: Pool, name: str, term: Epoch) -> str:
    """Leave a promoted image's term on it (replication.epoch). Apart from the promotion: it costs more than
    that does.

    The proof as well that the image can be written. An rbd-mirror that missed the promotion keeps the image's
    lock until it is told of the journal once more (docs/measured.md). Raises OneDRError when it keeps it for
    20 s.
    """
    for last in attempts(_LET_GO_S, _PAUSE_S):
        try:
            with pool.image(name) as image:
                preserved_copies.drop_preserved(image)
                epoch.write_epoch(image, term)
            return f"term {term.number}"
        except (rbd.ReadOnlyImage, rbd.PermissionError) as error:
            if last:
                raise _not_ours(pool, name) from error
            image_journal.notify_journal(pool, _id_of(pool, name))
    raise AssertionError("the last attempt raises")


def _id_of(pool: Pool, name: str) -> str:
    with pool.image(name, read_only=True) as image:
        return str(image.id())


def _not_ours(pool: Pool, name: str) -> OneDRError:
    with pool.image(name, read_only=True) as image:
        primary = mirroring.is_primary(image)
    what = "keeps its lock although it is promoted" if primary else "took it back after it was promoted"
    return OneDRError(
        f"{name} cannot be written: this site's rbd-mirror {what}. Restart rbd-mirror here, then run this "
        "again"
    )


def _promote(image: rbd.Image, peer_demoted: bool) -> str:
    how = _plain(image, _UNFORCED_LIMIT_S if peer_demoted else 0)
    if how is not None:
        return how
    if peer_demoted:
        raise OneDRError(
            f"the peer's demotion did not arrive within {_UNFORCED_LIMIT_S} s; does rbd-mirror run here?"
        )
    return _force(image)


def _forced(pool: Pool, name: str, read_only: bool) -> tuple[str, str]:
    """The image's id, and how."""
    with pool.image(name, read_only) as image:
        return str(image.id()), _force(image)


def _force(image: rbd.Image) -> str:
    try:
        image.mirror_image_promote(True)
    except rbd.InvalidArgument:
        if not mirroring.is_primary(image):
            raise
        return "was primary already"
    return "promoted by force"


def _plain(image: rbd.Image, limit_s: float) -> str | None:
    for _ in attempts(limit_s, _PAUSE_S):
        try:
            image.mirror_image_promote(False)
            return "promoted"
        # all are seen while a demotion arrives
        except (rbd.ImageBusy, rbd.ReadOnlyImage, rbd.InvalidArgument) as error:
            if isinstance(error, rbd.InvalidArgument) and mirroring.is_primary(image):
                return "was primary already"
    return None


def wait_for_demotion(pool: Pool, names: set[str], limit_s: float = 45) -> None:
    """After fencing: wait until rbd-mirror here shows that no site is primary. Promoting earlier has ended in
    split-brain (docs/ceph-facts.md C18). The status is a hint, so the wait just ends at its limit.

    Image by image: the list call says `status not found` of a demoted image (measured on 16.2.15).
    """
    waiting = set(names)
    for _ in attempts(limit_s, _PAUSE_S):
        waiting = {name for name in waiting if not _sees_demotion(pool, name)}
        if not waiting:
            return


def _sees_demotion(pool: Pool, name: str) -> bool:
    with pool.image(name, read_only=True) as image:
        description = str(image.mirror_image_get_status().get("description"))
    return "not primary" in description or "demoted" in description
