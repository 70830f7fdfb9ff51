"""The log: one form of line, in a file that many processes write and in syslog; no traceback is ever lost."""
from __future__ import annotations

import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from lxml import etree

from onedr.ceph import parallel
from onedr.cli import main, run_action
from onedr.host import log, log_handlers, paths, threads
from onedr.model.errors import UnexpectedError

LINE = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING|ERROR) run=(\S+) ds=(\S+) verb=(\S+) (.*)"
)


@pytest.fixture(autouse=True)
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A front-end of its own whose log is written from the start, without syslog."""
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(log, "SYSLOG", str(tmp_path / "no-syslog"))
    (tmp_path / "var/onedr").mkdir(parents=True)
    log.bind(run="", datastore="", verb="")  # whatever an earlier test of this thread worked for
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """The next record finds its places again."""
    logger = logging.getLogger(log.NAME)
    for handler in [handler for handler in logger.handlers if handler.name == log.NAME]:
        logger.removeHandler(handler)


def lines() -> list[str]:
    return log.path().read_text().splitlines()


def test_every_line_has_one_form_also_those_of_a_traceback() -> None:
    def told() -> None:
        log.bind(run="1-failover", datastore="my store", verb="failover")
        log.info("begins\nsecond \x1b[31mline")
        try:
            raise KeyError("x")
        except KeyError:
            log.exception("at one-7")

    threads.start(told).join()
    found = [LINE.fullmatch(line) for line in lines()]
    assert all(found), lines()
    assert {match.groups()[1:4] for match in found if match} == {("1-failover", "my_store", "failover")}
    texts = [match[5] for match in found if match]
    assert texts[:3] == ["begins", "second ?[31mline", "at one-7"] and texts[-1] == "KeyError: 'x'"


def test_a_thread_knows_what_its_starter_worked_for_and_not_the_other_way_round() -> None:
    def inside() -> None:
        log.bind(run="2-drill")
        threads.start(lambda: log.info("deep")).join()

    threads.start(inside).join()
    log.info("outside")
    assert [LINE.fullmatch(line)[2] for line in lines()] == ["2-drill", "-"]  # type: ignore[index]


def test_the_traceback_of_an_error_in_a_worker_thread_is_in_the_log() -> None:
    def action(item: str) -> str:
        raise KeyError(item)

    result = parallel.each(["one-7"], action, 5)["one-7"]
    assert isinstance(result, UnexpectedError) and str(log.path()) in str(result)
    assert any("unexpected error at one-7" in line for line in lines())
    assert any("in action" in line for line in lines()) and lines()[-1].endswith("KeyError: 'one-7'")


@pytest.fixture
def executable(front_end: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets `onedr status` run a driver executable with this text, through the real client."""
    class FrontEnd:
        def find_datastore(self, _: str) -> Any:
            return etree.fromstring("<DATASTORE><ID>7</ID><NAME>ceph</NAME><TEMPLATE/></DATASTORE>")

    monkeypatch.setattr(run_action, "FrontEnd", FrontEnd)
    path = front_end / "var/remotes/datastore/ceph_dr/status"
    path.parent.mkdir(parents=True)

    def write(text: str) -> None:
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)

    return write


def test_an_unexpected_error_through_the_command_leaves_its_traceback(executable: Any) -> None:
    executable(
        "from onedr.driver import actions, status_actions\n"
        "def broken(data, request): return {}['x']\n"
        "status_actions.status = broken\n"
        "actions.run_action('status')\n"
    )
    done = CliRunner().invoke(main, ["status", "ceph"])
    assert done.exit_code == 1
    assert f"failed unexpectedly (KeyError: 'x'); the traceback is in {log.path()}." in done.output
    assert done.output.rstrip().endswith("[unexpected]")
    told = [line for line in lines() if "ds=ceph verb=status" in line]
    assert any("in broken" in line for line in told) and any("KeyError: 'x'" in line for line in told)


def test_an_error_of_the_command_itself_leaves_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_action, "FrontEnd", lambda: SimpleNamespace())
    done = CliRunner().invoke(main, ["status", "ceph"])
    assert done.exit_code == 1 and "[unexpected]" in done.output
    assert any("AttributeError" in line for line in lines())


def test_warnings_of_a_command_that_succeeds_are_shown(executable: Any, front_end: Path) -> None:
    executable("import sys; print('WARN: the clock is off', file=sys.stderr); print('noise', file=sys.stderr)")
    (front_end / "var/remotes/datastore/ceph_dr/status").rename(front_end / "var/remotes/datastore/ceph_dr/kept")
    done = CliRunner().invoke(main, ["kept", "ceph"])
    assert done.exit_code == 0 and "WARN: the clock is off" in done.output and "noise" not in done.output


def test_what_nothing_catches_is_in_the_log_in_any_thread() -> None:
    code = (
        "from onedr.host import log, threads\nlog.catch_all()\n"
        "threads.start(lambda: {}['thread']).join()\n{}['main']\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and "KeyError: 'main'" in done.stderr
    assert any("KeyError: 'thread'" in line for line in lines())
    assert any("KeyError: 'main'" in line for line in lines())


def test_where_no_log_can_be_written_the_traceback_goes_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths.FrontEndPaths, "log", property(lambda _: Path("/proc/nowhere/onedr.log")))
    try:
        raise KeyError("x")
    except KeyError:
        log.exception("odd")
    assert "DEBUG: KeyError: 'x'" in capsys.readouterr().err


def test_syslog_gets_the_same_line_under_our_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "syslog"
    monkeypatch.setattr(log, "SYSLOG", str(place))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(place))
        log.warning("odd")
        said = daemon.recv(4096).decode()
    priority, text = re.fullmatch(r"<(\d+)>onedr: (.*)\0?", said, re.S).groups()  # type: ignore[union-attr]
    assert int(priority) & 7 == 4, "a warning"
    assert LINE.fullmatch(text.rstrip("\0")) and lines() == [text.rstrip("\0")]


def test_many_processes_write_and_rotate_without_losing_a_line(tmp_path: Path) -> None:
    path = tmp_path / "shared.log"
    code = (
        "import logging, sys, pathlib\nfrom onedr.host import log_handlers\n"
        "handlers = list(log_handlers.handlers(pathlib.Path(sys.argv[1]), '/nowhere', 4000, 100))\n"
        "logger = logging.getLogger('x'); logger.setLevel('INFO')\n"
        "[logger.addHandler(handler) for handler in handlers]\n"
        "[logger.info('%s-%d', sys.argv[2], n) for n in range(60)]\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "abcd"]
    assert [child.wait(60) for child in children] == [0] * 4
    files = [path, *tmp_path.glob("shared.log.[0-9]*")]
    assert len(files) > 3, "it was rotated"
    written = sorted(line.split()[-1] for file in files for line in file.read_text().splitlines())
    assert written == sorted(f"{name}-{n}" for name in "abcd" for n in range(60))
    assert all(os.stat(file).st_mode & 0o777 == log_handlers.MODE for file in files)


def test_a_bridge_hosts_record_is_written_by_the_front_end_as_its_own() -> None:
    sent: list[Any] = []

    def there() -> None:
        log.relay_to(sent.append)
        log.bind(run="3-failover", datastore="ceph", verb="failover")
        log.error("broken")

    threads.start(there).join()
    assert not log.path().exists(), "nothing is kept on a bridge host"
    log.replay(sent[0])
    assert lines()[0].endswith("ERROR run=3-failover ds=ceph verb=failover broken")


def test_a_driver_that_logs_nothing_does_not_load_logging() -> None:
    code = "import sys, onedr.driver.datastore, onedr.driver.tm, onedr.driver.run\nprint('logging' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
