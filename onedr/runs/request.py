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
    attributes: tuple[tuple[str, str], ...] = ()  # DR_ attributes and options of the verb
    by: str = ""  # a user of this machine, or the datastore's owner
    trigger: str = ""  # onedr, DR_ACTION, driver
    at: float = 0.0
    resumes: str = ""  # id of the interrupted run that this request continues

    @property
    def only_planned(self) -> bool:
        """Refuse rather than lose anything: a failback never becomes a failover."""
        return self.verb == "failback"
