"""A gate is passed when every VM of it runs and answers; what is not known does not pass."""
from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from lxml import etree

from onedr.ceph import monitor_ping
from onedr.failover import gates
from onedr.failover.waves import GroupGate
from onedr.model.errors import FrontEndError, OneDRError, RunStoppedError
from onedr.model.recovery_plan import Gate


def vm(state: int = 3, lcm: int = 3, ip: str = "127.0.0.1") -> etree._Element:
    nic = f"<NIC><IP>{ip}</IP></NIC>" if ip else ""
    return etree.fromstring(
        f"<VM><ID>1</ID><STATE>{state}</STATE><LCM_STATE>{lcm}</LCM_STATE><TEMPLATE>{nic}</TEMPLATE></VM>"
    )


class Oned:
    """Shows one VM after another, and the last one for good; an error is raised."""

    def __init__(self, *shown: Any):
        self.shown = list(shown)

    def vm(self, _: int) -> etree._Element:
        found: Any = self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]
        if isinstance(found, Exception):
            raise found
        shown: etree._Element = found
        return shown


def passed(oned: Oned, gate: Gate, failed: dict[str, str] | None = None, check: Any = lambda: None) -> str:
    group = GroupGate("web", gate, ("f:1",))
    return gates.pass_gate(oned, group, {"f:1": 1}, failed or {}, lambda origin: f"VM {origin}", check)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_PAUSE_S", 0.01)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_it_is_waited_for_until_the_vm_runs() -> None:
    assert passed(Oned(vm(1, 0), FrontEndError("down"), vm()), Gate(0, 60)) == "1 VM(s) run"


def test_a_port_must_answer(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert passed(Oned(vm()), Gate(port, 60)) == f"1 VM(s) accept connections at port {port}"
    tried: list[tuple[object, ...]] = []

    def refuses(*where: object) -> bool:
        tried.append(where)
        return False

    monkeypatch.setattr(monitor_ping, "port_answers", refuses)
    with pytest.raises(OneDRError, match="VM f:1 accepts no connection at 127.0.0.1:81"):
        passed(Oned(vm()), Gate(81, 0))
    assert tried == [("127.0.0.1", 81, gates._PORT_LIMIT_S)]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_page_must_be_answered_and_no_redirection_is_followed() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        for status in (200, 302):
            assert passed(Oned(vm()), Gate(port, 60, path=f"/{status}")) == f"1 VM(s) answer GET /{status} at port {port}"
        with pytest.raises(OneDRError, match=f"VM f:1 answers 503 at http://127.0.0.1:{port}/503"):
            passed(Oned(vm()), Gate(port, 0, path="/503"))
        server.shutdown()
    with pytest.raises(OneDRError, match="VM f:1 does not answer at http://127.0.0.1:"):
        passed(Oned(vm()), Gate(port, 0, path="/200"))


@pytest.mark.parametrize(("shown", "port", "why"), [
    (vm(1, 0), 0, "VM f:1 is PENDING"), (vm(3, 44), 0, "is ACTIVE .LCM 44."), (vm(ip=""), 22, "has no IPv4 address"),
    (FrontEndError("oned is silent"), 0, "oned is silent"), (ValueError("odd"), 0, "unexpected ValueError"),
])
def test_what_does_not_pass_in_time_is_named(shown: Any, port: int, why: str) -> None:
    with pytest.raises(OneDRError, match=f"not passed within 0 s: .*{why}"):
        passed(Oned(shown), Gate(port, 0))


def test_a_vm_that_is_not_here_does_not_pass() -> None:
    with pytest.raises(OneDRError, match="VM f:1 is not here"):
        gates.pass_gate(Oned(vm()), GroupGate("web", Gate(0, 0), ("f:1",)), {}, {}, lambda origin: f"VM {origin}", lambda: None)  # type: ignore[arg-type]


def test_one_that_failed_is_not_waited_for() -> None:
    with pytest.raises(OneDRError, match="not passed: VM f:1: start: no host"):
        passed(Oned(vm(1, 0)), Gate(0, 3600), {"f:1": "start: no host"})


def test_a_run_that_must_stop_does_not_wait_on() -> None:
    def stop() -> None:
        raise RunStoppedError("asked to stop")

    with pytest.raises(RunStoppedError):
        passed(Oned(vm(1, 0)), Gate(0, 3600), check=stop)
