"""What came of rehearsing a VM at the standby (docs/rehearsal.md). Data only."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Result(str, Enum):
    """What came of it. A word of `onedr status --json`."""

    ACCEPTED = "accepted"  # oned here took it; `differences` says what is not as it was
    REFUSED = "refused"  # a failover would leave it out, or oned refused it: `why`
    RETURNS = "returns"  # nothing is created for it: it comes back into a VM that this site has
    NOT_TRIED = "not tried"  # something else is in its way (a copy, a record in doubt, a silent oned): `why`

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Rehearsed:
    """The last rehearsal of one VM of the peer. `origin`: `<cluster id>:<vm id>`; `at`: epoch seconds."""

    origin: str
    name: str
    vm: int
    site: str
    at: float
    result: Result
    why: str = ""
    differences: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"VM {self.name} ({self.vm} at {self.site})"
