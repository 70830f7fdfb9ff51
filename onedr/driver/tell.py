"""What a verb tells: lines of JSON on standard output, and whoever listens in this process."""
from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from onedr.runs.events import Event

_telling = threading.Lock()
_listens: ContextVar[Callable[[Event], None] | None] = ContextVar("onedr_listens", default=None)


def emit(event: Event) -> None:
    """One event, one line, also when threads tell at the same moment: print() writes a line and its end
    apart, and on a bridge host each is a frame. A reader that went away never stops a run.
    """
    listens = _listens.get()
    if listens is not None:
        listens(event)
    try:
        with _telling:
            sys.stdout.write(f"{json.dumps(event.to_json())}\n")
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def heard_by(listens: Callable[[Event], None]) -> Iterator[None]:
    """Every event that is told in the block goes to `listens` too."""
    before = _listens.set(listens)
    try:
        yield
    finally:
        _listens.reset(before)
