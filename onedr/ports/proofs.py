"""Verdicts of probes, kept in the pool of each site: omap of the object `onedr.proof`, mode -> JSON of a Proof."""
from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict

import rados

from onedr.errors import StorageError
from onedr.facts import Proof
from onedr.model import Mode
from onedr.ports import omap
from onedr.ports.ceph import Pool

OBJECT = "onedr.proof"


def keep(pool: Pool, proof: Proof) -> None:
    """Keep it instead of the one before of that mode. Reads back. Raises rados.Error, StorageError."""
    omap.put(pool, OBJECT, {proof.mode.value: json.dumps(asdict(proof)).encode()})
    if last(pool).get(proof.mode) != proof:
        raise StorageError(f"The probe's verdict was written to pool {pool.access.pool} and does not read back.")


def last(pool: Pool) -> dict[Mode, Proof]:
    """The newest of each mode. One that cannot be read counts as none: then nothing is proven. Raises rados.Error."""
    found = [_read(value) for value in omap.some(pool, OBJECT, (mode.value for mode in Mode)).values()]
    return {proof.mode: proof for proof in found if proof is not None}


def _read(value: bytes) -> Proof | None:
    try:
        data = json.loads(value)
        return Proof(**{**data, "mode": Mode(data["mode"]), "releases": tuple(map(str, data["releases"]))})
    except (KeyError, TypeError, ValueError):
        return None


def forget(pool: Pool) -> None:
    """Take all verdicts out of the pool. Raises rados.Error."""
    with suppress(rados.ObjectNotFound):
        pool.io.remove_object(OBJECT)
