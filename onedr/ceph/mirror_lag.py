"""How far copies are behind, and how much journal waits for them: of a whole pool at once."""
from __future__ import annotations

from collections.abc import Iterable, Mapping

from onedr.ceph import journal_header, omap
from onedr.ceph.connection import Pool
from onedr.ceph.encoding import Decoder, UnknownFormatError
from onedr.model.lag import Lag, read_lag


def lags(pool: Pool) -> dict[str, Lag]:
    """By image name what the rbd-mirror that copies it reports: the peer's of a primary, ours of a copy.

    Raises rbd.Error.
    """
    found = {}
    for status in pool.rbd.mirror_image_status_list(pool.io):
        reports = [status, *status.get("remote_statuses", [])]
        said = [read_lag(str(each.get("description", ""))) for each in reports if each.get("up")]
        lag = next((each for each in said if each is not None), None)
        if lag is not None:
            found[str(status["name"])] = lag
    return found


def journal_bytes(pool: Pool, ids: Iterable[str]) -> dict[str, int]:
    """By image id, the most bytes that its journal keeps: what is not replayed and not trimmed yet.

    Images without a journal are left out.
    """
    objects = {f"journal.{image_id}": image_id for image_id in ids}
    found = {}
    for name, values in omap.read_many(pool, objects).items():
        length = journal_length(values)
        if length is not None:
            found[objects[name]] = length
    return found


def journal_length(values: Mapping[str, bytes]) -> int | None:
    """Bytes of the object sets from the oldest to the active one. None: the omap says it in no known form."""
    try:
        header, oldest = journal_header.decode(values), Decoder(values.get("minimum_set", b"")).u64()
    except UnknownFormatError:
        return None
    sets = header.active - oldest + 1
    return sets * header.width * header.object_bytes if sets > 0 else None
