"""Entries of the history for a SIEM: received by real sockets, and read by the grammar of RFC 5424."""
from __future__ import annotations

import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onedr.host import config as host_config
from onedr.host import log, siem, threads
from onedr.model.errors import InputError
from onedr.runs import journal
from onedr.runs.journal_entry import JournalEntry
from onedr.runs.request import Request

LIMIT_S = 5


class Entry(NamedTuple):
    priority: int
    head: list[str]  # TIMESTAMP, HOSTNAME, APP-NAME, PROCID, MSGID
    data: dict[str, dict[str, str]]  # STRUCTURED-DATA
    text: str


def parsed(data: bytes) -> Entry:
    """By the ABNF of section 6, octet by octet where it matters. Fails where it is not followed."""
    head = re.match(
        rb"<(0|[1-9][0-9]{0,2})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) "
        rb"([!-~]{1,128}) ([!-~]{1,32}) ", data)
    assert head is not None and int(head[1]) <= 191, data
    rest, found = data[head.end():], dict[str, dict[str, str]]()
    while rest.startswith(b"["):
        name = re.match(rb"\[([!#-<>-\\^-~]{1,32})", rest)
        assert name is not None, rest
        rest, params = rest[name.end():], found.setdefault(name[1].decode(), {})
        while rest.startswith(b" "):
            one = re.match(rb' ([!#-<>-\\^-~]{1,32})="((?:[^"\\\]]|\\["\\\]])*)"', rest)
            assert one is not None, rest
            params[one[1].decode()] = re.sub(r'\\(["\\\]])', r"\1", one[2].decode())
            rest = rest[one.end():]
        assert rest.startswith(b"]"), rest
        rest = rest[1:]
    assert found and rest.startswith(b" \xef\xbb\xbf"), rest
    return Entry(int(head[1]), [part.decode() for part in head.groups()[1:]], found, rest[4:].decode())


def forget() -> None:
    logger = logging.getLogger(log.NAME)
    for each in (logger, logger.getChild("history")):
        for handler in list(each.handlers):
            if handler.name == log.NAME or isinstance(handler, siem._Siem):
                each.removeHandler(handler)
                handler.close()


@pytest.fixture(autouse=True)
def front_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("ONE_LOCATION", str(tmp_path))
    monkeypatch.setattr(log, "SYSLOG", str(tmp_path / "no-syslog"))
    (tmp_path / "var/onedr").mkdir(parents=True)
    (tmp_path / "etc/onedr").mkdir(parents=True)
    log.bind(run="", datastore="ceph", verb="failover")
    forget()
    yield tmp_path
    forget()


def listen(front_end: Path, kind: str) -> socket.socket:
    """A receiver, named in onedr.conf."""
    if kind == "unix":
        receiver, where = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), str(front_end / "siem")
        receiver.bind(where)
    else:
        family, host = (socket.AF_INET, "127.0.0.1") if kind == "udp" else (socket.AF_INET6, "::1")
        receiver = socket.socket(family, socket.SOCK_DGRAM)
        receiver.bind((host, 0))
        where = f"[{host}]:{receiver.getsockname()[1]}" if kind == "udp6" else f"{host}:{receiver.getsockname()[1]}"
    configure(front_end, where)
    receiver.settimeout(LIMIT_S)
    return receiver


def configure(front_end: Path, where: str) -> None:
    path = front_end / "etc/onedr/onedr.conf"
    path.write_text(f"[log]\nsiem = {where}\n")
    path.chmod(0o644)


def closed(result: str = "DONE", by: str = 'ann ]"\\ of "ops"') -> None:
    """A run whose journal was just closed."""
    entry = JournalEntry("5-failover", "failover", "host:1", 1.0, Request("failover", by=by, trigger="onedr"))
    entry.result = result
    journal._tell("", "5-failover", entry, "chain.0000000000000042", "ab" * 32)


@pytest.mark.parametrize("kind", ["udp", "udp6", "unix"])
def test_a_run_that_ended_reaches_the_receiver_with_its_fields(front_end: Path, kind: str) -> None:
    with listen(front_end, kind) as receiver:
        closed()
        found = parsed(receiver.recv(65536))
        closed("PARTIAL")
        worse = parsed(receiver.recv(65536))
    assert found.data == {siem.SD_ID: {
        "run": "5-failover", "datastore": "ceph", "verb": "failover", "result": "DONE", "person": 'ann ]"\\ of "ops"',
        "trigger": "onedr", "link": "42", "digest": "ab" * 32,
    }}
    assert found.head[2] == "onedr" and found.head[4] == "HISTORY"
    assert (found.priority, worse.priority) == (13 * 8 + 5, 13 * 8 + 4) and worse.data[siem.SD_ID]["result"] == "PARTIAL"
    assert found.text == f"history: chain.0000000000000042 {'ab' * 32} of run 5-failover"
    lines = log.path().read_text().splitlines()
    assert len(lines) == 2 and lines[0].endswith(found.text), "the log has the line as ever, once"


def test_only_the_history_goes_there(front_end: Path) -> None:
    with listen(front_end, "udp") as receiver:
        closed()
        log.info("a step")
        log.warning("odd")
        closed()
        assert [parsed(receiver.recv(65536)).head[4] for _ in range(2)] == ["HISTORY"] * 2
        receiver.settimeout(0)
        with pytest.raises(BlockingIOError):
            receiver.recv(65536)


def test_a_receiver_that_is_away_fails_no_run_and_is_said(front_end: Path) -> None:
    configure(front_end, str(front_end / "nobody"))
    closed()
    said = log.path().read_text()
    assert "of run 5-failover" in said and f"was not sent to {front_end / 'nobody'}" in said


def test_a_receiver_that_comes_back_gets_the_next_entry(front_end: Path) -> None:
    configure(front_end, str(front_end / "siem"))
    closed()
    with listen(front_end, "unix") as receiver:
        closed()
        assert parsed(receiver.recv(65536)).data[siem.SD_ID]["run"] == "5-failover"


def test_without_a_receiver_nothing_is_sent_and_nothing_said(front_end: Path) -> None:
    configure(front_end, "")
    closed()
    assert len(log.path().read_text().splitlines()) == 1


@pytest.mark.parametrize("where", ["siem.example.org", "siem:0", "siem:65536", "siem:x", "udp://siem:514", "siem socket"])
def test_a_mistake_is_reported_and_the_log_kept(front_end: Path, where: str) -> None:
    configure(front_end, where)
    with pytest.raises(InputError, match=r"log\.siem"):
        host_config.load_config()
    closed()
    assert "of run 5-failover" in log.path().read_text() and "go to no SIEM" in log.path().read_text()


def test_what_ended_on_a_bridge_host_is_sent_by_the_front_end(front_end: Path) -> None:
    sent: list[Any] = []

    def there() -> None:
        log.relay_to(sent.append)
        log.bind(datastore="ceph")
        closed()

    threads.start(there).join()
    with listen(front_end, "udp") as receiver:
        siem.attach()
        log.replay({**sent[0], "fields": {**sent[0]["fields"], "other": "x"}})
        found = parsed(receiver.recv(65536)).data[siem.SD_ID]
    assert found["person"] == 'ann ]"\\ of "ops"' and "other" not in found


def record(text: str, fields: dict[str, str]) -> logging.LogRecord:
    made = logging.LogRecord("onedr.history", logging.INFO, "", 0, "%s", (text,), None)
    made.siem = fields
    return made


LONG = st.sampled_from(["\\" * 400, "]" * 127 + "a", "\U0001f600" * 400, "\ud800" * 300, "x" * 5000])


@given(st.text(max_size=400) | LONG, st.dictionaries(st.sampled_from(siem.FIELDS), st.text(max_size=400) | LONG))
def test_no_text_breaks_the_grammar_or_out_of_its_field(text: str, fields: dict[str, str]) -> None:
    data = siem.message(record(text, fields))
    found = parsed(data)
    assert len(data) <= 2048 and found.data[siem.SD_ID].keys() == fields.keys()
    for name, value in fields.items():
        seen = found.data[siem.SD_ID][name]
        whole = "".join(letter if letter.isprintable() else "?" for letter in value).encode(errors="replace").decode()
        assert whole.startswith(seen) and (seen == whole or len(siem.escaped(value).encode()) > 128 - 4)
