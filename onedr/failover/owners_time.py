"""What each owner's disks may take of a run's time before any VM starts: users decide how many snapshots they
have.
"""
from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lxml import etree

from onedr.model.errors import OneDRError
from onedr.opennebula.nics import ADMINS


class OwnersTime:
    """Time of all threads together. `most_s`: seconds for each owner; None for no limit."""

    def __init__(self, most_s: float | None, clock: Callable[[], float] = time.monotonic):
        self._most_s, self._clock = most_s, clock
        self._spent: Counter[str] = Counter()
        self._counting = threading.Lock()

    @contextmanager
    def turn(self, element: etree._Element) -> Iterator[Callable[[], None]]:
        """Work for the owner of this image or VM. Gives a check, to be made before each part of it, that
        raises OneDRError when the owner's time is used up; it is made once before the work begins. oneadmin,
        and who is in its group, acts for the site and has no limit.
        """
        owner, group = element.findtext("UNAME") or "", element.findtext("GNAME")
        limit_s = None if ADMINS in (owner, group) else self._most_s
        begun = self._clock()

        def check() -> None:
            if limit_s is not None and self._spent[owner] + self._clock() - begun >= limit_s:
                raise OneDRError(f"those of {owner} have taken what DR_DELAY_MAX lets one user take")

        check()
        try:
            yield check
        finally:
            with self._counting:
                self._spent[owner] += self._clock() - begun  # type: ignore[assignment]
