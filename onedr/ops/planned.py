"""The steps of a planned move that are taken at the peer, and taking them back."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack

import rados
import rbd

from onedr.errors import OneDRError
from onedr.facts import Mark
from onedr.model import Mode
from onedr.ops import parallel, peer_site
from onedr.policy import planned as policy
from onedr.ports import mirror, records
from onedr.ports.ceph import Pool

_PAUSE_S = 0.3
_NEXT_S = 0.001
_BACK_LIMIT_S = 90
_RUN_LIMIT_S = 120


def sync(here: Pool, there: Pool, name: str, limit_s: float) -> str:
    """Wait until all that was written to the peer's primary before now is in the copy here. Returns how long that took.

    A mark written there travels behind the data (journal mode), or with a mirror snapshot (snapshot mode): records.MARK_KEY.
    """
    begun = time.monotonic()
    with there.image(name) as image:
        if not mirror.is_primary(image):
            return "is demoted there already"
        before = records.read_mark(records.metadata(image))
        mark = Mark(before.at + _NEXT_S if before else time.time(), True)  # by the peer's clock, whatever ours says
        records.write_mark(image, mark)
        mode = mirror.mode(image)
        mirror.publish(there, image)
    while not _arrived(here, name, mark, mode):
        if time.monotonic() - begun > limit_s:
            raise OneDRError(f"the copy of {name} did not catch up within {limit_s:g} s; is rbd-mirror running here?")
        time.sleep(_PAUSE_S)
    return f"caught up in {time.monotonic() - begun:.1f} s"


def _arrived(here: Pool, name: str, mark: Mark, mode: Mode | None) -> bool:
    with here.image(name, read_only=True) as image:
        found = records.read_mark(records.metadata(image))
        if found is None or found.at < round(mark.at, 3):
            return False
        return mode is not Mode.SNAPSHOT or bool(mirror.mirror_snapshots(image)[-1]["complete"])


def way_there(stack: ExitStack, connect: Callable[[], AbstractContextManager[Pool]]) -> Pool | None:
    """The peer's pool, open as long as `stack`; None when it cannot be reached."""
    try:
        return stack.enter_context(connect())
    except (OneDRError, rados.Error):
        return None


def some(items: Mapping[str, str]) -> str:
    """Items and why, for a sentence: the first three."""
    told = "; ".join(f"{item}: {why}" for item, why in list(items.items())[:3])
    return told + (f"; and {len(items) - 3} more" if len(items) > 3 else "")


def roll_back(here: Pool, there: Pool | None, names: Sequence[str], fenced: bool) -> dict[str, str | OneDRError]:
    """Undo what a move did at the peer before its first promotion: its images primary again, then its VMs as they were.

    `there` None: the peer's Ceph cannot be reached; then, if it came to fencing, images may be demoted there and neither they
    nor their VMs can be given back. Results by image name and `VM n at the peer`.
    """
    results: dict[str, str | OneDRError] = {}
    if there is None and fenced:
        lost = OneDRError("the peer's Ceph cannot be reached from here, where it may be demoted now")
        results.update(dict.fromkeys(names, lost))
    elif there is not None:
        pool = there
        results.update(parallel.each(names, lambda name: give_back(here, pool, name, _BACK_LIMIT_S), _BACK_LIMIT_S * 2, 32))
    stuck = {name for name, result in results.items() if isinstance(result, OneDRError)}
    site = peer_site.look(here.access.pool)
    if site.frontend is None or site.vms is None:
        return {**results, "the VMs at the peer": OneDRError(f"its front-end does not answer: {site.detail}")}
    frontend = site.frontend
    held = {f"VM {vm.vm_id} at the peer": vm for vm in policy.to_release(site.vms, {*stuck, *_primary_here(here, names)})}
    released = parallel.each(held, lambda label: peer_site.release(frontend, held[label], _RUN_LIMIT_S), _RUN_LIMIT_S * 2, 16)
    return {**results, **released}


def _primary_here(here: Pool, names: Iterable[str]) -> set[str]:
    found = set()
    for name in names:
        with here.image(name, read_only=True) as image:
            if mirror.is_primary(image):
                found.add(name)
    return found


def give_back(here: Pool, there: Pool, name: str, limit_s: float) -> str:
    """Make the peer's image primary again after its demotion; refused when ours is. Reads back."""
    with here.image(name, read_only=True) as image:
        if mirror.is_primary(image):
            raise OneDRError(f"{name} is primary here already; it is not given back")
    end = time.monotonic() + limit_s
    with there.image(name) as image:
        if mirror.is_primary(image):
            return "is primary there"
        while True:
            try:
                image.mirror_image_promote(False)
                break
            except (rbd.ImageBusy, rbd.ReadOnlyImage, rbd.InvalidArgument) as error:
                if time.monotonic() > end:
                    raise OneDRError(f"{name} could not be promoted at the peer again: {error}") from error
                time.sleep(_PAUSE_S)
    with there.image(name, read_only=True) as image:
        if not mirror.is_primary(image):
            raise OneDRError(f"{name} is not primary at the peer although Ceph accepted its promotion there")
    return "is primary there again"
