"""The form of a drill's report (docs/drill.md): what `json.dumps` writes.

Times are epoch seconds, durations seconds.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict


class AskedFor(TypedDict):
    """What the drill was asked for; `port` 0: no connection is tried."""

    vms: Sequence[str]
    port: int
    command: Sequence[str]


class VmReport(TypedDict):
    """What became of one VM. `origin`: its name and id at the peer's site."""

    origin: str
    name: str
    vm: int
    site: str
    state_there: str
    drill_vm: int | None
    nics: Sequence[Mapping[str, str]]
    result: str
    why: str
    recovery_point_before: float | None
    loss_before_s: float | None
    recovery_point: float | None
    disks_apart_s: float | None
    running_after_s: float | None
    passed_after_s: float | None
    checks: Sequence[Mapping[str, object]]
    disks: Sequence[str]


class ImageReport(TypedDict):
    """What was seen of one copy; `recovery_points` before, during and after the drill."""

    image: str
    snapshot: str | None
    snapshot_at: float | None
    clone: str | None
    recovery_points: Mapping[str, float | None]


class StepReport(TypedDict):
    """One step; `seconds` of the item that took longest."""

    kind: str
    at: float
    seconds: float
    items: int


class DrillReport(TypedDict):
    """The whole; `cleanup` is added when the drill's VMs are removed."""

    schema: int
    drill: str
    run: str
    datastore: str
    site: str
    cluster: str
    by: Mapping[str, str]
    began: float
    ended: float
    result: str
    reasons: Sequence[str]
    network: str
    asked: AskedFor
    rto: Mapping[str, float | None]
    rpo: Mapping[str, float]
    vms: Sequence[VmReport]
    images: Sequence[ImageReport]
    left_out: Mapping[str, str]
    failed: Mapping[str, str]
    warnings: Mapping[str, Sequence[str]]
    steps: Sequence[StepReport]
    versions: Mapping[str, str]
    cleanup: Mapping[str, object] | None
