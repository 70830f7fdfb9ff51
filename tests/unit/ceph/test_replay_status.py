"""What rbd-mirror says of how far it is, in the forms of Ceph 16.2 to 20.2."""
from __future__ import annotations

import pytest

from onedr.ceph.mirroring import MirrorStatus
from onedr.ceph.replay_status import status_behind
from onedr.model.lag import ENTRY_BYTES

POSITIONS = '"non_primary_position":{"entry_tid":3,"object_number":3,"tag_tid":1}'


def status(description: str, up: bool = True) -> MirrorStatus:
    return {"name": "one-1", "state": 4, "up": up, "description": description}


@pytest.mark.parametrize("entries", [0, 7])
def test_journal_mode_says_how_many_entries_are_missing(entries: int) -> None:
    found = status_behind(status(f'replaying, {{"bytes_per_second":0.0,"entries_behind_primary":{entries},{POSITIONS}}}'))
    assert found == entries * ENTRY_BYTES


@pytest.mark.parametrize("description", [
    "", "local image is primary", "replaying", "replaying, {", "replaying, []", "replaying, {}",
    'replaying, {"bytes_per_second":0.0,"bytes_per_snapshot":81920.0,"replay_state":"idle"}',
    'replaying, {"entries_behind_primary":-1}', 'replaying, {"entries_behind_primary":true}',
    'replaying, {"entries_behind_primary":"7"}',
])
def test_anything_else_is_unknown(description: str) -> None:
    assert status_behind(status(description)) is None


def test_what_a_daemon_said_that_is_gone_is_unknown() -> None:
    assert status_behind(status('replaying, {"entries_behind_primary":0}', up=False)) is None


def test_a_copy_that_was_never_reported_here_is_unknown() -> None:
    assert status_behind({"name": "one-1", "remote_statuses": []}) is None
