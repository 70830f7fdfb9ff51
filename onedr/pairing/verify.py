"""After a set-up: does it mirror?

Small images travel there and back as the datastore's own user, then every check is made.
"""
from __future__ import annotations

from collections.abc import Iterator

import rados
import rbd

from onedr.ceph import cluster_info, connection
from onedr.check import probe, probe_results
from onedr.check import run as check_run
from onedr.model.errors import OneDRError, StorageError
from onedr.model.records import ProbeResult
from onedr.model.types import CephAccess, Mode, Settings
from onedr.opennebula.datastores import Datastore
from onedr.runs.events import NoteEvent


def verify(access: CephAccess, mode: Mode, datastore: Datastore | None) -> Iterator[NoteEvent]:
    """Notes of what was seen, of level ok, warning, problem, or unproven: then it was not shown that it
    mirrors.

    A probe is made unless one of this mode and of this site's release of Ceph is kept already. `datastore`:
    where a protected one is there.
    """
    try:
        with connection.connect(access) as pool:
            proof = probe_results.last_result(pool).get(mode)
            if proof is None or set(cluster_info.releases(pool)) - set(proof.releases):
                text = "Small test images are replicated to the other site and back; this may take minutes."
                yield NoteEvent("ok", text)
                proof = probe.run_probe(pool, datastore.settings if datastore else Settings(), mode)
            yield from _said(proof)
    except (OneDRError, rados.Error, rbd.Error) as error:
        yield NoteEvent("unproven", f"It is not proven that it mirrors: {StorageError(str(error))}")
    if datastore is not None and datastore.settings.protect:
        for finding in check_run.check(datastore):
            if finding.level.value != "ok":
                yield NoteEvent(
                    finding.level.value, f"{finding.text}{f' -> {finding.todo}' if finding.todo else ''}"
                )


def _said(proof: ProbeResult) -> Iterator[NoteEvent]:
    if proof.why:
        yield NoteEvent("unproven", f"The probe ended before its end: {proof.why}")
    told = (
        ("an image arrives at the other site", proof.arrives, "unproven"),
        ("it comes back after a change of roles", proof.returns, "unproven"),
        ("a clone written where only its base held data arrives", proof.clones, "warning"),
        ("what is discarded is gone there too", proof.discards, "warning"),
    )
    for text, good, bad in told:
        answer = "not known" if good is None else "yes" if good else "NO"
        yield NoteEvent("ok" if good else bad, f"Probe, {proof.mode.value} mode: {text}: {answer}")
