"""What a guest wrote: the ledger on its disks and the proof of it on its console (init.c has the format)."""
from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import rbd

START = 1 << 20
RECORD = 512
_CHUNK = 1 << 20
_LINE = re.compile(rb"ONEDR1 (\d+) (\d+) (\d+) ([0-9a-f]{8}) *\n")
_CONSOLE = re.compile(r"^REC (\S+) (\d+) (\d+) (\d+)$")


@dataclass(frozen=True)
class Record:
    """`number` counts from 1 on each disk; `time_ms` is the guest's clock; disks of a turn share `tick`."""

    number: int
    time_ms: int
    tick: int


class BrokenLedger(Exception):
    """The ledger has a hole, a damaged record or one out of its place."""


def parse(ledger: bytes) -> list[Record]:
    """The records of a ledger given from its first byte on (offset START of the disk).

    It ends at the first block of zeros, or at the end of `ledger`. Raises BrokenLedger for anything
    else that is not the next record, and for a record anywhere behind the end.
    """
    records: list[Record] = []
    for at in range(0, len(ledger) - RECORD + 1, RECORD):
        block = ledger[at:at + RECORD]
        record = decode(block)
        if record is None:
            if block.strip(b"\0"):
                number = at // RECORD + 1
                raise BrokenLedger(f"block {number} is neither empty nor a valid record: {block[:60]!r}")
            break
        if record.number != len(records) + 1:
            raise BrokenLedger(f"record {record.number} lies at the place of record {len(records) + 1}")
        records.append(record)
    behind = ledger.find(b"ONEDR1 ", (len(records) + 1) * RECORD)
    if behind >= 0:
        number = behind // RECORD + 1
        raise BrokenLedger(f"the ledger ends after {len(records)}, but block {number} has a record")
    return records


def decode(block: bytes) -> Record | None:
    """The record in a block of RECORD bytes, None when it holds no valid one."""
    found = _LINE.fullmatch(block)
    if found is None:
        return None
    body = block[:found.start(4) - 1]
    if zlib.crc32(body) != int(found[4], 16):
        return None
    return Record(int(found[1]), int(found[2]), int(found[3]))


def read_image(image: rbd.Image) -> list[Record]:
    """The records on an open RBD image (or snapshot); BrokenLedger as in `parse`, rbd.Error from reading."""
    size = image.size()
    ledger = bytearray()
    for at in range(START, size, _CHUNK):
        chunk = image.read(at, min(_CHUNK, size - at))
        ledger += chunk
        # One whole empty chunk behind the end is read too, so that a hole is seen, but not the whole disk.
        if not chunk.strip(b"\0"):
            break
    return parse(bytes(ledger))


def acknowledged(console: str) -> dict[str, list[Record]]:
    """The records that the guest printed as written, per disk, in order, over all boots in a console log."""
    found: dict[str, list[Record]] = {}
    for line in console.splitlines():
        match = _CONSOLE.match(line.strip())
        if match:
            record = Record(int(match[2]), int(match[3]), int(match[4]))
            found.setdefault(match[1], []).append(record)
    return found


def read_console(log: Path) -> dict[str, list[Record]]:
    """`acknowledged` of a console log file; empty when the guest never wrote. A cut last line is left out."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return {}
    return acknowledged(text[:text.rfind("\n") + 1])


def lost(printed: Iterable[Record], kept: list[Record]) -> list[Record]:
    """The acknowledged records that are not in the ledger `kept`, oldest first.

    Only records of the same life count: a number that was written again after a loss has another time.
    """
    there = {(record.number, record.time_ms) for record in kept}
    return [record for record in printed if (record.number, record.time_ms) not in there]
