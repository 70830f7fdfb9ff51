"""What a drill measured."""
from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class CheckDone:
    """One check of a drill's VM: `result` is passed or failed; `at`: when it ended, epoch seconds."""

    check: str
    result: str
    evidence: str
    seconds: float
    at: float


@dataclass
class Evidence:
    """The measurements of one drill, for its report.

    Images by RBD name, VMs by origin; moments in epoch seconds.
    """

    tag: str = ""
    snapshot_at: dict[str, float] = field(default_factory=dict)
    clones: dict[str, str] = field(default_factory=dict)
    before: dict[str, float | None] = field(default_factory=dict)  # recovery points
    during: dict[str, float | None] = field(default_factory=dict)
    after: dict[str, float | None] = field(default_factory=dict)
    vm_ids: dict[str, int] = field(default_factory=dict)
    nics: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    running_s: dict[str, float] = field(default_factory=dict)  # since the drill began
    passed_s: dict[str, float] = field(default_factory=dict)
    checks: dict[str, list[CheckDone]] = field(default_factory=dict)
