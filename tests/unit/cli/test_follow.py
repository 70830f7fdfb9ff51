"""What is said of a run whose client leaves, and of one whose process was killed; with real processes and signals."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from onedr.cli.follow import Follow
from onedr.model.errors import InterruptedRunError, StillRunningError
from onedr.runs.request import Request

# `onedr` with an action of its own: it notes what it heard, says that it is ready, and works until it is told to end
ACTION = """\
#!{python}
import pathlib, sys, time
heard = sys.stdin.read()
pathlib.Path("{folder}/heard").write_text(heard)
print('{{"event": "progress", "message": "ready"}}', flush=True)
while not pathlib.Path("{folder}/end").exists():
    time.sleep(0.02)
pathlib.Path("{folder}/ended").write_text("by itself")
"""
CLIENT = """\
import sys
from lxml import etree
from onedr.cli import run_action
from onedr.model.errors import OneDRError
from onedr.runs.request import Request

class FrontEnd:
    def find_datastore(self, name):
        return etree.fromstring("<DATASTORE><ID>100</ID><NAME>ceph</NAME></DATASTORE>")

run_action.FrontEnd = FrontEnd
run_action.start_action.command = lambda verb: "{folder}/action"
try:
    for event in run_action.events("ceph", Request("{verb}")):
        print(event.message, flush=True)
except OneDRError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def action(tmp_path: Path) -> Path:
    path = tmp_path / "action"
    path.write_text(ACTION.format(python=sys.executable, folder=tmp_path))
    path.chmod(0o755)
    return tmp_path


def client(folder: Path, verb: str) -> subprocess.Popen[str]:
    text = textwrap.dedent(CLIENT.format(folder=folder, verb=verb))
    child = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    return child


def wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not come"
        time.sleep(0.02)


def test_ctrl_c_leaves_the_run_alone_and_says_what_is_true(action: Path) -> None:
    child = client(action, "failover")
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGINT)  # a second one changes nothing
    assert child.stdout is not None
    said = child.stdout.read()
    assert child.wait(20) == StillRunningError.exit_code
    for words in ("goes on without", "onedr history ceph", "onedr cancel ceph", "onedr resume ceph"):
        assert words in said, said
    assert "Traceback" not in said and not (action / "ended").exists()
    (action / "end").touch()
    wait_for(action / "ended")


def test_a_killed_run_is_interrupted_and_not_code_minus_nine(action: Path) -> None:
    child = client(action, "failover")
    found = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True, text=True, check=True).stdout.split()
    os.kill(int(found[0]), signal.SIGKILL)
    assert child.stdout is not None
    said = child.stdout.read()
    assert child.wait(20) == InterruptedRunError.exit_code
    assert "was interrupted" in said and "SIGKILL" in said and "onedr resume" in said and "-9" not in said


@pytest.mark.parametrize(("verb", "words"), [("drill", "onedr drill cleanup"), ("reprotect", "onedr resume")])
def test_what_goes_on_with_a_killed_run(verb: str, words: str) -> None:
    assert words in str(Follow(Request(verb), "ceph").killed(signal.SIGKILL))


def test_ctrl_c_before_the_run_heard_everything_waits_until_it_has() -> None:
    with pytest.raises(StillRunningError), Follow(Request("failover"), "ceph") as follow:
        before = os.getpid()
        os.kill(before, signal.SIGINT)
        follow.begun()
        raise AssertionError("not reached")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it is left ignored for a client that ends now


def test_ctrl_c_ends_an_action_that_is_no_run_as_ever() -> None:
    with pytest.raises(KeyboardInterrupt), Follow(Request("status"), "ceph"):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)


@pytest.mark.parametrize("verb", ["enable", "disable", "reconcile", "rehearse"])
def test_ctrl_c_does_not_say_that_what_goes_on_in_its_own_session_was_aborted(action: Path, verb: str) -> None:
    child = client(action, verb)
    child.send_signal(signal.SIGINT)
    assert child.stdout is not None
    said = child.stdout.read()
    assert child.wait(20) == StillRunningError.exit_code
    assert f"The {verb} goes on without" in said and "onedr status ceph" in said and "resume" not in said
    (action / "end").touch()
    wait_for(action / "ended")


@pytest.mark.parametrize("verb", ["enable", "status"])
def test_a_killed_action_that_is_no_run_is_asked_for_again(verb: str) -> None:
    said = Follow(Request(verb), "ceph").killed(signal.SIGKILL)
    assert not isinstance(said, InterruptedRunError) and "Run it again" in str(said)
