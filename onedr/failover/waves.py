"""In which order a run starts VMs, and the gates between: data only. `waves_plan` makes it."""
from __future__ import annotations

from dataclasses import dataclass

from onedr.model.recovery_plan import Gate
from onedr.runs.steps import Step, StepKind


@dataclass(frozen=True)
class GroupGate:
    """The gate of a group in a run. `origins`: the VMs that must pass it."""

    group: str
    gate: Gate
    origins: tuple[str, ...]

    @property
    def step(self) -> Step:
        """Its step; the target is no name that an image or a VM's origin can have."""
        what = f" and accept connections at port {self.gate.port}" if self.gate.port else ""
        what = f" and answer GET {self.gate.path} at port {self.gate.port}" if self.gate.path else what
        then = "the run stops" if self.gate.stops else "the next ones start all the same"
        text = (
            f"wait until {len(self.origins)} VM(s) of group {self.group} run{what}; after "
            f"{self.gate.within_s} s {then}"
        )
        return Step(StepKind.GATE, f"group {self.group}", text)


@dataclass(frozen=True)
class Wave:
    """VMs (by origin) that start together, when the wave before is through. `gates`: what must pass after
    it; `delay_s`: seconds after that.
    """

    called: str
    origins: tuple[str, ...]
    delay_s: int = 0
    gates: tuple[GroupGate, ...] = ()
