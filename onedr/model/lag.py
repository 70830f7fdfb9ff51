"""What rbd-mirror reports of a copy: how far behind it is, at which pace. Pure.

A hint, up to 30 s old (docs/ceph-facts.md C15). Ceph: src/tools/rbd_mirror, `get_replay_status` of both
Replayers (journal, snapshot), `BootstrapRequest::update_progress`.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# The most that one entry of a journal holds: rbd_journal_max_payload_bytes, by Ceph's default.
ENTRY_BYTES = 16 * 1024
_PERCENT = re.compile(r"([0-9]{1,3})%")
_MOST = 1 << 62  # no byte count or duration of Ceph's is larger


@dataclass(frozen=True)
class Lag:
    """A copy's report. None: not said. `entries`: of the journal, not yet replayed. `percent`: of a first
    copy, or of a mirror snapshot that is being copied. `left_s`: until the copy has caught up, as rbd-mirror
    estimates. `last_bytes`, `last_s`: of the last mirror snapshot that was copied.
    """

    entries: int | None = None
    bytes_per_s: float | None = None
    percent: int | None = None
    left_s: float | None = None
    last_bytes: int | None = None
    last_s: float | None = None

    @property
    def bytes_behind(self) -> int | None:
        """Bytes at most that are missing in the copy; None where it is not said."""
        return None if self.entries is None else self.entries * ENTRY_BYTES


def read_lag(description: str) -> Lag | None:
    """The report in the `description` of an image's mirror status; None when it has none."""
    opening = description.find("{")
    if description.startswith("replaying") and opening >= 0:
        try:
            said = json.loads(description[opening:])
        except ValueError:
            return None
        return _of_replay(said) if isinstance(said, dict) else None
    found = _PERCENT.findall(description)
    return Lag(percent=min(100, int(found[-1]))) if found else None


def _of_replay(said: Mapping[str, Any]) -> Lag:
    return Lag(
        entries=_count(said, "entries_behind_primary"),
        bytes_per_s=_number(said, "bytes_per_second", float),
        percent=_number(said, "syncing_percent", int),
        left_s=_number(said, "seconds_until_synced", float),
        last_bytes=_number(said, "last_snapshot_bytes", int),
        last_s=_number(said, "last_snapshot_sync_seconds", float),
    )


def _count(said: Mapping[str, Any], key: str) -> int | None:
    """A whole number: bytes are computed from it."""
    return _number(said, key, int) if isinstance(said.get(key), int) else None


def _number(said: Mapping[str, Any], key: str, kind: Callable[[Any], Any]) -> Any:
    value = said.get(key)
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST
    return kind(value) if known else None
