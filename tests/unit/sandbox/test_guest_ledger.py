"""The reader of what a guest wrote: what it takes, and what it must not take."""
from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.guest import ledger
from sandbox.guest.ledger import RECORD, BrokenLedger, Record


def block(number: int, time_ms: int = 1795360699500, tick: int = 1) -> bytes:
    body = f"ONEDR1 {number} {time_ms} {tick}"
    return f"{body} {zlib.crc32(body.encode()):08x}".ljust(RECORD - 1).encode() + b"\n"


def test_a_block_written_by_the_guest() -> None:
    # Taken from a disk that busybox's crc32 and printf wrote.
    written = b"ONEDR1 1 1795360699500 1 " + b"%08x" % zlib.crc32(b"ONEDR1 1 1795360699500 1")
    assert ledger.decode(written.ljust(511) + b"\n") == Record(1, 1795360699500, 1)


def test_an_empty_ledger_has_no_records() -> None:
    assert ledger.parse(b"") == []
    assert ledger.parse(bytes(RECORD * 10)) == []


@given(st.integers(0, 40), st.integers(0, 5))
def test_records_up_to_the_first_empty_block(count: int, empty: int) -> None:
    data = b"".join(block(n, tick=n + 7) for n in range(1, count + 1)) + bytes(RECORD * empty)
    assert [r.number for r in ledger.parse(data)] == list(range(1, count + 1))


def test_a_ledger_that_fills_its_disk() -> None:
    assert len(ledger.parse(block(1) + block(2))) == 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (block(1) + block(3), "record 3 lies at the place of record 2"),
        (block(2), "record 2 lies at the place of record 1"),
        (block(1) + bytes(RECORD) + block(3), "ends after 1, but block 3"),
        (block(1) + b"\xff" * RECORD, "block 2 is neither"),
        (block(1) + block(2)[:100] + bytes(412) + block(3), "block 2 is neither"),
        (block(1) + block(2).replace(b"1795", b"1796"), "block 2 is neither"),
    ],
    ids=["hole", "start", "gap", "garbage", "torn", "checksum"],
)
def test_what_is_broken_is_said(data: bytes, said: str) -> None:
    with pytest.raises(BrokenLedger, match=said):
        ledger.parse(data)


@given(st.integers(0, 2 * RECORD - 1), st.integers(1, 255))
def test_no_changed_byte_goes_unseen(at: int, change: int) -> None:
    data = bytearray(block(1) + block(2))
    data[at] ^= change
    try:
        assert ledger.parse(bytes(data)) != []
    except BrokenLedger:
        return
    # The one change that leaves a valid record: none.
    pytest.fail("a damaged ledger was taken for a whole one")


CONSOLE = """\
LEDGER vda 0\r
REC vda 1 1000 1\r
[    3.1] random: crng init doneREC vdb 1 1010 1\r
REC vda 2 1200 2\r
ERR vdb 2\r
OFF\r
LEDGER vda 2\r
REC vda 3 5000 3\r
REC vda 4 52"""


def test_the_console_tells_what_was_acknowledged(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_text(CONSOLE, newline="")
    assert ledger.read_console(log) == {"vda": [Record(1, 1000, 1), Record(2, 1200, 2), Record(3, 5000, 3)]}


def test_no_console_is_no_record(tmp_path: Path) -> None:
    assert ledger.read_console(tmp_path / "none") == {}


def test_lost_compares_time_too() -> None:
    kept = [Record(1, 1000, 1), Record(2, 9000, 2)]
    told = [Record(1, 1000, 1), Record(2, 1200, 2), Record(3, 1400, 3)]
    assert ledger.lost(told, kept) == [Record(2, 1200, 2), Record(3, 1400, 3)]
