"""A call of Ceph that never returns does not hold oned for ever."""
from __future__ import annotations

import subprocess
import sys

HANGS = """
import threading
from onedr.driver.run import run_driver

run_driver(lambda words: str(threading.Event().wait()), 0.2)
"""


def test_an_action_that_hangs_is_given_up_with_a_sentence() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("A Ceph call did not return within 0.2 s") and done.stderr.count("\n") == 1
