"""Wake the keeper of a datastore: the background work that follows first copies and sets time marks."""
from __future__ import annotations

import sys

from onedr.ports import process
from onedr.ports.places import places


def keeper(datastore_id: int) -> None:
    """Start the keeper, detached; a second one ends at once when one is at work. Failing to start fails nobody's action."""
    try:
        process.detach(
            [sys.executable, "-m", "onedr.ops.keeper", str(datastore_id)], b"", places().state / f"keeper-{datastore_id}.log"
        )
    except OSError as error:
        print(f"WARN: the keeper of datastore {datastore_id} did not start: {error}", file=sys.stderr)
