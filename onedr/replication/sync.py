"""Final synchronisation: wait until everything written at the peer is in the copy here."""
from __future__ import annotations

import time

from onedr.ceph import mirroring
from onedr.ceph.connection import Pool
from onedr.host.waiting import wait_until
from onedr.model.errors import OneDRError
from onedr.model.records import Mark
from onedr.model.types import Mode
from onedr.replication import records

_PAUSE_S = 0.3
_NEXT_S = 0.001


def sync(here: Pool, there: Pool, name: str, limit_s: float, known: float | None = None) -> str:
    """Wait until everything written to the peer's primary before now is in the copy here. Returns how long
    that took. `known`: the copy's recovery point as far as it is known, which must not become older.

    A mark written there arrives after the data (journal mode) or with a mirror snapshot (snapshot mode):
    records.MARK_KEY.
    """
    begun = time.monotonic()
    with there.image(name) as image:
        if not mirroring.is_primary(image):
            return "is already demoted there"
        before = records.read_mark(records.metadata(image))
        # by the peer's clock
        points = [at for at in (known, before.at if before else None) if at is not None]
        mark = Mark(max(points) + _NEXT_S if points else time.time(), True)
        records.write_mark(image, mark)
        mode = mirroring.mirror_mode(image)
        mirroring.publish_changes(there, image)
    if not wait_until(lambda: _arrived(here, name, mark, mode), limit_s, _PAUSE_S):
        raise OneDRError(
            f"the copy of {name} did not catch up within {limit_s:g} s; is rbd-mirror running here?"
        )
    return f"caught up in {time.monotonic() - begun:.1f} s"


def _arrived(here: Pool, name: str, mark: Mark, mode: Mode | None) -> bool:
    with here.image(name, read_only=True) as image:
        found = records.read_mark(records.metadata(image))
        if found is None or found.at < round(mark.at, 3):
            return False
        return mode is not Mode.SNAPSHOT or mirroring.mirror_snapshots(image)[-1][0]
