"""VMs of a site, as seen by a run."""
from __future__ import annotations

from dataclasses import dataclass, field

from onedr.model.template import Pairs


@dataclass(frozen=True)
class Recovered:
    """A VM at this site that carries DR_ORIGIN."""

    vm_id: int
    state: str
    start_pending: bool
    finished: bool  # False: its creation was interrupted before owner and permissions were set


@dataclass(frozen=True)
class PeerVm:
    """A VM on this pool, as its front-end shows it.

    `locked_state`: the state in which a run of ours found it, empty when free.
    """

    vm_id: int
    name: str
    state: str
    locked_state: str
    images: frozenset[str]  # RBD names of its disks in this pool
    clones: frozenset[str] = frozenset()  # those of them that are removed when they are detached
    locked: bool = False
    bases: frozenset[str] = frozenset()  # what its clones will be made from, of a VM that may never have run
    template: Pairs = field(default=(), compare=False, repr=False)  # as its record has it

    @property
    def touches(self) -> frozenset[str]:
        """RBD images that it uses, or will be made from."""
        return self.images | self.bases
