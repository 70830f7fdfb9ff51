"""Starting VMs wave by wave, with the gates of a recovery plan between them."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from onedr.failover.start_queue import StartQueue
from onedr.failover.waves import GroupGate, Wave
from onedr.model.errors import RunStoppedError
from onedr.model.text import Sentence
from onedr.runs.run import Running
from onedr.runs.steps import Step

_GATES_AT_ONCE = 8
_CLOSED = "A gate of the recovery plan was not passed, and the plan has the run stop there"


def start_waves(
    running: Running, queue: StartQueue, waves: Sequence[Wave], steps: Sequence[Step],
    pass_gate: Callable[[GroupGate], str], may_stop: bool = True,
) -> None:
    """Start those of `steps` in the order of the waves. `pass_gate` waits at a gate: OneDRError when it is
    not passed. Then the run goes on, or stops where the plan says so and `may_stop`: RunStoppedError.
    """
    by_origin = {step.target: step for step in steps}
    groups = [
        (wave.called, [by_origin[origin] for origin in wave.origins if origin in by_origin]) for wave in waves
    ]
    gates = {wave.called: wave.gates for wave in waves}

    def between(called: str) -> None:
        by_target = {gate.step.target: gate for gate in gates[called]}
        steps = [gate.step for gate in by_target.values()]
        running.do(steps, lambda target: pass_gate(by_target[target]), _GATES_AT_ONCE)
        stops = [target for target, gate in by_target.items() if gate.gate.stops]
        closed = [target for target in stops if running.has_failed(target)]
        if closed and may_stop:
            raise _stopped(running, closed)

    queue.run(
        [(called, group) for called, group in groups if group or gates[called]],
        {wave.called: wave.delay_s for wave in waves}, between,
    )


def _stopped(running: Running, closed: Sequence[str]) -> RunStoppedError:
    """The recovery plan has the run stop at a gate."""
    said = "; ".join(f"{target}: {running.outcome.failed[target]}" for target in closed)
    return RunStoppedError(Sentence(
        f"{_CLOSED} ({said}). onedr resume tries it again; with --plan none it goes on without.",
        f"{_CLOSED}.",
    ))
