"""Notices by a real SMTP server, a real HTTP server and a real program; what is not taken waits and comes later."""
from __future__ import annotations

import hashlib
import hmac
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from onedr.cli import main
from onedr.host import log
from onedr.metrics import exporter
from onedr.model.errors import InputError, StorageError
from onedr.notify.settings import load_settings
from onedr.runs.answer_events import ObservedEvent, StatusEvent
from onedr.runs.events import PeerShown

HOSTILE = "db\r\nBcc: evil@example.org\x1b[2J"


class _Session(socketserver.StreamRequestHandler):
    """Enough of SMTP to take a mail; `server.broken`: it refuses every one."""

    def handle(self) -> None:
        self._say("220 sink")
        while line := self.rfile.readline():
            word = line.decode().strip().split(" ")[0].upper()
            if word == "DATA" and not self.server.broken:  # type: ignore[attr-defined]
                self._say("354 go")
                lines = []
                while (part := self.rfile.readline()) != b".\r\n":
                    lines.append(part)
                self.server.mails.append(b"".join(lines))  # type: ignore[attr-defined]
                self._say("250 taken")
            elif word == "DATA":
                self._say("451 try again")
            elif word == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 fine")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers = {key.lower(): value for key, value in self.headers.items()}
        self.server.posts.append((self.path, headers, body))  # type: ignore[attr-defined]
        self.send_response(self.server.code)  # type: ignore[attr-defined]
        if self.server.code == 302:  # type: ignore[attr-defined]
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _served(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def smtp() -> Iterator[Any]:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Session)
    server.mails, server.broken = [], False  # type: ignore[attr-defined]
    yield from _served(server)


@pytest.fixture
def hook() -> Iterator[Any]:
    server = HTTPServer(("127.0.0.1", 0), _Hook)
    server.posts, server.code = [], 204  # type: ignore[attr-defined]
    yield from _served(server)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, smtp: Any, hook: Any) -> Path:
    one = tmp_path / "one"
    (one / "etc/onedr").mkdir(parents=True)
    (one / "var/onedr").mkdir(parents=True)
    monkeypatch.setenv("ONE_LOCATION", str(one))
    (one / "etc/key").write_text("hook-secret\n")
    (one / "etc/key").chmod(0o600)
    program = one / "tell"
    program.write_text(f"#!/bin/sh\ncat >> {one}/told; echo >> {one}/told\n")
    program.chmod(0o755)
    configure(one, (
        f"mail_to = ops@example.org, night@example.org\nmail_from = onedr@example.org\n"
        f"smtp = 127.0.0.1:{smtp.server_address[1]}\nsmtp_tls = no\n"
        f"webhook = http://127.0.0.1:{hook.server_address[1]}/in\nwebhook_key = {one}/etc/key\n"
        f'command = ["{program}"]\n'
    ))
    return one


def configure(one: Path, text: str) -> None:
    (one / "etc/onedr/onedr.conf").write_text(f"[notify]\n{text}")
    (one / "etc/onedr/onedr.conf").chmod(0o644)


def observed(state: str = "PROTECTED", message: str = "All is well.") -> ObservedEvent:
    status = StatusEvent("gold", state, "SAFE", "primary", message, 1, 1, "JOURNAL", PeerShown("", "answers"))
    return ObservedEvent("gold", 7, status)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, site: Path) -> Any:
    """Runs a turn in which this is seen."""
    clock = [1_800_000_000.0]
    monkeypatch.setattr("onedr.notify.turn.time.time", lambda: clock[0])

    def run(seen: Any, later_s: float = 60.0) -> Any:
        clock[0] += later_s
        monkeypatch.setattr(exporter, "observe_all", lambda _: {"gold": seen})
        return CliRunner().invoke(main, ["notify"])

    return run


def texts(site: Path) -> list[str]:
    file = site / "told"
    return [json.loads(line)["text"] for line in file.read_text().splitlines()] if file.exists() else []


def test_a_change_goes_out_by_every_channel_once(site: Path, look: Any, smtp: Any, hook: Any) -> None:
    assert look(observed()).output == "0 new notice(s), 0 wait to be taken\n"
    assert look(observed("DEGRADED", f"VM {HOSTILE} is late.")).output == "1 new notice(s), 0 wait to be taken\n"
    look(observed("DEGRADED", "VM db is late."))
    (mail,), (post,) = smtp.mails, hook.posts
    read = message_from_bytes(mail, policy=policy.default)
    assert read["To"] == "ops@example.org, night@example.org" and read["Bcc"] is None
    assert read["Subject"].startswith("OneDR critical: gold is DEGRADED, it was PROTECTED. VM db??Bcc")
    assert "\x1b" not in read.get_content()
    assert texts(site) == [f"gold is DEGRADED, it was PROTECTED. VM {HOSTILE} is late."]
    where, headers, body = post
    assert where == "/in" and json.loads(body)["datastore"] == "gold" and json.loads(body)["severity"] == "critical"
    signed = f"{headers['x-onedr-timestamp']}.{body}".encode()
    assert headers["x-onedr-signature"] == "sha256=" + hmac.new(b"hook-secret", signed, hashlib.sha256).hexdigest()


def test_what_a_channel_does_not_take_waits_and_is_tried_again_ever_later(
    site: Path, look: Any, smtp: Any, hook: Any
) -> None:
    look(observed())
    smtp.broken, hook.code = True, 500
    assert look(StorageError("Ceph does not answer.")).output == "1 new notice(s), 2 wait to be taken\n"
    assert len(texts(site)) == 1, "the program took it at once, and is not asked again"
    hook.code = 204
    assert look(StorageError("Ceph does not answer.")).output == "0 new notice(s), 1 wait to be taken\n"
    assert len(hook.posts) == 2
    look(StorageError("Ceph does not answer."), 59)  # tried twice: the third try comes after two minutes
    smtp.broken = False
    assert "1 wait" in look(StorageError("Ceph does not answer."), 30).output
    assert "0 wait" in look(StorageError("Ceph does not answer."), 61).output
    assert len(smtp.mails) == 1 and len(texts(site)) == 1


def test_what_is_never_taken_is_given_up_after_a_day(
    site: Path, look: Any, hook: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[str] = []
    monkeypatch.setattr(log, "error", errors.append)
    look(observed())
    hook.code = 500
    assert "1 wait" in look(observed("DEGRADED")).output
    assert "0 wait" in look(observed("DEGRADED"), 86400).output
    (error,) = errors
    assert "given up after a day, webhook never took it: gold is DEGRADED" in error


def test_a_redirect_is_not_followed(site: Path, look: Any, hook: Any) -> None:
    look(observed())
    hook.code = 302
    assert "1 wait" in look(observed("DEGRADED")).output
    assert [where for where, _, _ in hook.posts] == ["/in"]


def test_the_state_is_its_owners_and_a_damaged_one_is_begun_anew(site: Path, look: Any) -> None:
    look(observed())
    file = site / "var/onedr/notify.json"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("{")
    assert look(observed("DEGRADED")).output.startswith("1 new"), "what is wrong is told again"
    assert look(replace(observed("DEGRADED"))).output.startswith("0 new")


def test_a_test_goes_out_by_each_channel_and_names_the_one_that_fails(site: Path, hook: Any, smtp: Any) -> None:
    done = CliRunner().invoke(main, ["notify", "--test"])
    assert done.exit_code == 0 and done.output == "mail: taken\nwebhook: taken\ncommand: taken\n"
    assert len(smtp.mails) == len(hook.posts) == len(texts(site)) == 1
    hook.code = 403
    done = CliRunner().invoke(main, ["notify", "--test"])
    assert done.exit_code == 5 and "webhook: the webhook did not take it" in done.output
    assert "hook-secret" not in done.output


def test_without_a_channel_it_says_where_to_set_one(site: Path) -> None:
    configure(site, "")
    done = CliRunner().invoke(main, ["notify"])
    assert done.exit_code == 1 and "docs/notifications.md" in done.output


@pytest.mark.parametrize(("text", "said"), [
    ("mail_to = nobody\nmail_from = x\n", ["'nobody' is no mail address", "mail_from", "smtp is not"]),
    ("mail_to = a@b\nmail_from = c@d\nsmtp = host:99999\n", ["not HOST or HOST:PORT"]),
    ("webhook = https://h/x\n", ["webhook_key"]),
    ("webhook = http://h/x\nwebhook_key = KEY\n", ["use https"]),
    ("webhook = ftp://h\nwebhook_key = KEY\n", ["is not an address"]),
    ("webhook = https://h/x\nwebhook_key = relative\n", ["not the absolute path"]),
    ("smtp_tls = maybe\n", ["'maybe' is none of"]),
    ('command = ["tell"]\n', ["absolute path"]), ("command = tell\n", ["list in JSON"]),
    ("mail_to = a@b\nmail_from = c@d\nsmtp = mail\nsmtp_tls = no\nsmtp_auth = KEY\n", ["readably", "user:password"]),
])
def test_every_mistake_is_named(site: Path, text: str, said: list[str]) -> None:
    configure(site, text.replace("KEY", str(site / "etc/key")))
    with pytest.raises(InputError) as caught:
        load_settings()
    assert all(words in str(caught.value) for words in said), caught.value


def test_a_secret_that_others_may_read_is_refused(site: Path) -> None:
    (site / "etc/key").chmod(0o644)
    with pytest.raises(InputError, match="can be read by other users"):
        load_settings()


def test_the_section_is_no_unknown_one_for_the_rest_of_onedr(site: Path) -> None:
    from onedr.host import config

    assert config.load_config() == config.Configuration()
