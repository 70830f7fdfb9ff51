"""Events of threads that tell at the same moment."""
from __future__ import annotations

import io
import json
import sys
import time

import pytest

from onedr.driver import tell
from onedr.host import threads
from onedr.runs.events import ProgressEvent


class Frames(io.TextIOBase):
    """Standard output as on a bridge host, where what is written at once is a frame; slow enough to be overtaken."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def write(self, text: str) -> int:
        self.sent.append(text)
        time.sleep(0.001)
        return len(text)


def test_each_event_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Frames()
    monkeypatch.setattr(sys, "stdout", told)
    started = [threads.start(tell.emit, ProgressEvent(f"step {number}")) for number in range(40)]
    for thread in started:
        thread.join()
    lines = "".join(told.sent).splitlines()
    assert sorted(json.loads(line)["message"] for line in lines) == sorted(f"step {number}" for number in range(40))
