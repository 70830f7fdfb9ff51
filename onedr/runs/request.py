"""What is asked of a datastore, and by whom. Pure; `onedr.driver.start_action` sends and reads it."""
from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request, handed on as an argument from the entry down to the run that serves it.

    `vms`: names or ids at the peer, empty for all. `at`: when it was asked, epoch seconds; 0: not known.
    """

    verb: str
    confirm: str = ""
    dry_run: bool = False
    vms: tuple[str, ...] = ()
    start: bool = True
    accept_unsigned: bool = False  # recover also what a record says that is in doubt (docs/records.md)
    attributes: tuple[tuple[str, str], ...] = ()  # DR_ attributes and options of the verb
    by: str = ""  # a user of this machine, or the datastore's owner
    trigger: str = ""  # onedr, DR_ACTION, driver
    at: float = 0.0
    resumes: str = ""  # id of the interrupted run that this request continues

    @property
    def lossless(self) -> bool:
        """Is it a move: everything arrives, or nothing is changed? A failback is a move home."""
        return self.verb in ("move", "failback")

    @property
    def confirmed(self) -> str:
        """The datastore's name, as typed."""
        return self.confirm.partition(":")[0]

    @property
    def digest(self) -> str:
        """Digest of the plan that was shown to whoever confirmed; empty when the confirmation names none."""
        return self.confirm.partition(":")[2]

    @property
    def leave(self) -> tuple[str, ...]:
        """VMs (names or ids at the peer) and images that stay where they are."""
        return self.words("LEAVE")

    @property
    def take(self) -> tuple[str, ...]:
        """Images to demote although something that does not move is read through them."""
        return self.words("TAKE")

    @property
    def fence_command(self) -> bool:
        """May the fence command of onedr.conf be run? No: it cannot work."""
        return "NO" not in self.words("FENCE_COMMAND")

    def words(self, key: str) -> tuple[str, ...]:
        """Values of an attribute that may be given several times."""
        return tuple(value for name, value in self.attributes if name == key)
