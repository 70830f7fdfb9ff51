"""After a set-up: does it mirror?

Small images travel there and back as the datastore's own user, then every check is made.
"""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import rados
import rbd

from onedr.ceph import cluster_info, connection
from onedr.check import probe, probe_results
from onedr.check import run as check_run
from onedr.model.errors import OneDRError, StorageError
from onedr.model.records import ProbeResult
from onedr.model.types import CephAccess, Mode, Settings
from onedr.opennebula.datastores import Datastore

Event = dict[str, Any]


def verify(access: CephAccess, mode: Mode, datastore: Datastore | None) -> Iterator[Event]:
    """Notes of what was seen, of level ok, warning, problem, or unproven: then it was not shown that it
    mirrors.

    A probe is made unless one of this mode and of this site's release of Ceph is kept already. `datastore`:
    where a protected one is there.
    """
    try:
        with connection.connect(access) as pool:
            result = probe_results.last_result(pool).get(mode)
            if result is None or set(cluster_info.releases(pool)) - set(result.releases):
                yield _note("ok", "Small images travel to the other site and back now; up to some minutes.")
                result = probe.run_probe(pool, datastore.settings if datastore else Settings(), mode)
            yield from _describe_probe(result)
    except (OneDRError, rados.Error, rbd.Error) as error:
        yield _note("unproven", f"It is not proven that it mirrors: {StorageError(str(error))}")
    if datastore is not None and datastore.settings.protect:
        for finding in check_run.check(datastore):
            if finding.level.value != "ok":
                yield _note(
                    finding.level.value, f"{finding.text}{f' -> {finding.todo}' if finding.todo else ''}"
                )


def _note(level: str, text: str) -> Event:
    return {"event": "note", "level": level, "text": text}


def _describe_probe(result: ProbeResult) -> Iterator[Event]:
    if result.why:
        yield _note("unproven", f"The probe ended before its end: {result.why}")
    answers = (
        ("an image arrives at the other site", result.arrives, "unproven"),
        ("it comes back after a change of roles", result.returns, "unproven"),
        ("a clone written where only its base held data arrives", result.clones, "warning"),
        ("what is discarded is gone there too", result.discards, "warning"),
    )
    for text, good, bad in answers:
        answer = "not known" if good is None else "yes" if good else "NO"
        yield _note("ok" if good else bad, f"Probe, {result.mode.value} mode: {text}: {answer}")
