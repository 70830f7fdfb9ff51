"""Verification after setup: does the pool mirror?

A probe as the datastore's own user, then all checks.
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
    """Notes with level ok, warning, problem, or unproven when mirroring could not be verified.

    A probe runs unless a result for this mode and this site's release of Ceph exists. `datastore`: the
    protected one, if any.
    """
    try:
        with connection.connect(access) as pool:
            result = probe_results.last_result(pool).get(mode)
            if result is None or set(cluster_info.releases(pool)) - set(result.releases):
                text = "Small test images are replicated to the other site and back; this may take minutes."
                yield NoteEvent("ok", text)
                result = probe.run_probe(pool, datastore.settings if datastore else Settings(), mode)
            yield from _describe_probe(result)
    except (OneDRError, rados.Error, rbd.Error) as error:
        yield NoteEvent("unproven", f"Mirroring could not be verified: {StorageError(str(error))}")
    if datastore is not None and datastore.settings.protect:
        for finding in check_run.check(datastore):
            if finding.level.value != "ok":
                yield NoteEvent(
                    finding.level.value, f"{finding.text}{f' -> {finding.todo}' if finding.todo else ''}"
                )


def _describe_probe(result: ProbeResult) -> Iterator[NoteEvent]:
    if result.why:
        yield NoteEvent("unproven", f"The probe ended early: {result.why}")
    answers = (
        ("an image arrives at the other site", result.arrives, "unproven"),
        ("it is mirrored back after a role change", result.returns, "unproven"),
        ("a clone written where only its base had data arrives intact", result.clones, "warning"),
        ("discards are replicated", result.discards, "warning"),
    )
    for text, good, bad in answers:
        answer = "unknown" if good is None else "yes" if good else "NO"
        yield NoteEvent("ok" if good else bad, f"Probe, {result.mode.value} mode: {text}: {answer}")
