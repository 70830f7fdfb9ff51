"""A plan: driver commands run one after the other until one fails, then what undoes them."""
from __future__ import annotations

import logging
from dataclasses import dataclass, field

from sandbox.frontend.executor import Outcome
from sandbox.frontend.frontend import Frontend

LOG = logging.getLogger("VMM")


@dataclass(frozen=True)
class Step:
    """One command of a transfer driver (`tm`) or of the hypervisor driver (`vmm`)."""

    family: str
    mad: str
    action: str
    arguments: tuple[str, ...]
    stdin: str = ""
    optional: bool = False
    """A failure is logged and forgotten."""


@dataclass
class Plan:
    """Steps, their undoing, and the word error messages begin with."""

    label: str
    steps: list[Step] = field(default_factory=list)
    undo: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """How a plan ended: the message for the user, and what the last hypervisor command printed."""

    ok: bool
    message: str = ""
    output: str = ""


TRANSFER = "Error executing image transfer script"


def execute(frontend: Frontend, plan: Plan) -> Result:
    """Run a plan. Called without the lock."""
    output = ""
    for step in plan.steps:
        outcome = run_step(frontend, step)
        if outcome.ok:
            output = outcome.stdout.strip() if step.family == "vmm" else output
        elif not step.optional:
            for undo in plan.undo:
                run_step(frontend, undo)
            message = outcome.message
            return Result(False, f"{plan.label}: {message}" if message else plan.label)
    return Result(True, "", output)


def run_step(frontend: Frontend, step: Step) -> Outcome:
    """Run one command."""
    if step.family == "vmm":
        script = frontend.var / "remotes" / "vmm" / step.mad / step.action
        return frontend.vmm_driver.run(script, step.arguments, step.stdin)
    if step.mad not in frontend.config.options("TM_MAD").names:
        return Outcome(255, "", f"Transfer Driver '{step.mad}' not available")
    folder = frontend.var / "remotes" / "tm" / step.mad
    script = folder / step.action
    if "." in step.action and not script.exists():
        script = folder / step.action.partition(".")[0]
    return frontend.transfer_driver.run(script, step.arguments, step.stdin)
