"""Results of probes, stored in the pool of each site:
omap of the object `onedr.proof`, mode -> JSON of a ProbeResult.
"""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.ceph import omap
from onedr.ceph.connection import Pool
from onedr.model.errors import StorageError
from onedr.model.json_form import parsed
from onedr.model.records import ProbeResult
from onedr.model.types import Mode

OBJECT = "onedr.proof"


def save_result(pool: Pool, result: ProbeResult) -> None:
    """Replace the stored result of that mode. Reads back. Raises rados.Error, StorageError."""
    omap.write_keys(pool, OBJECT, {result.mode.value: json.dumps(asdict(result)).encode()})
    if last_result(pool).get(result.mode) != result:
        raise StorageError(
            f"The probe's result was written to pool {pool.access.pool} but does not read back; check ceph "
            "-s."
        )


def last_result(pool: Pool) -> dict[Mode, ProbeResult]:
    """The last result of each mode.

    An unreadable one counts as none. Raises rados.Error.
    """
    found = [_read(value) for value in omap.read_keys(pool, OBJECT, (mode.value for mode in Mode)).values()]
    return {result.mode: result for result in found if result is not None}


def _read(value: bytes) -> ProbeResult | None:
    try:
        data = parsed(value)
        return ProbeResult(
            **{**data, "mode": Mode(data["mode"]), "releases": tuple(map(str, data["releases"]))}
        )
    except (KeyError, TypeError, ValueError):
        return None


def forget_results(pool: Pool) -> None:
    """Remove all results from the pool. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(OBJECT)
