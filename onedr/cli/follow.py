"""A run that is followed on the terminal: it has a session of its own and outlives this client."""
from __future__ import annotations

import signal
from types import FrameType

from onedr.model.errors import InterruptedRunError, OneDRError, StillRunningError
from onedr.runs.request import Request
from onedr.runs.state import DRILLS, RUN_VERBS

_REPEATED = ("enable", "disable", "reconcile", "rehearse")  # done again they do what is missing


class Follow:
    """While this lasts, Ctrl-C raises StillRunningError, which says what is true then.

    Not before the run has heard all that is asked of it (`begun`). Actions that are no runs are not followed.
    """

    def __init__(self, request: Request, datastore: str):
        self._verb, self._datastore = request.verb, datastore
        self._run = request.verb in RUN_VERBS
        self._followed = request.verb in (*RUN_VERBS, *_REPEATED) and not request.dry_run
        self._begun = self._pressed = self._left = False

    def __enter__(self) -> Follow:
        if self._followed:
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._followed and not self._left:
            signal.signal(signal.SIGINT, self._before)

    def begun(self) -> None:
        """The run has heard all that is asked of it."""
        self._begun = True
        if self._pressed:
            self._leave()

    def killed(self, number: int) -> OneDRError:
        """What to say when the action's process was ended by this signal."""
        names = {each.value: each.name for each in signal.Signals}
        why = f"its process was ended by {names.get(number, f'signal {number}')}"
        if not (self._followed and self._run):
            return OneDRError(f"{self._verb} did not end by itself: {why}. Run it again.")
        drill = self._verb in DRILLS
        again = "onedr drill cleanup removes what it left" if drill else "onedr resume continues it"
        return InterruptedRunError(
            f"The {self._verb} of {self._datastore} was interrupted: {why}. {again}, onedr history shows how "
            "far it came."
        )

    def _press(self, _: int, __: FrameType | None) -> None:
        self._pressed = True
        if self._begun:
            self._leave()

    def _leave(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressing again changes nothing
        self._left = True
        name, begun = self._datastore, f"The {self._verb} goes on without this command."
        if not self._run:
            raise StillRunningError(
                f"{begun} onedr status {name} shows what came of it; asked for again it does what is missing."
            )
        raise StillRunningError(
            f"{begun} onedr history {name} shows how far it is and how it ends, onedr cancel {name} asks it "
            f"to stop, onedr resume {name} continues it if it dies."
        )
