"""A process of the front-end that outlives its caller, also where the caller works on a bridge host."""
from __future__ import annotations

import sys

from onedr.host import bridge, process


def start(service: str, module: str, datastore_id: int) -> None:
    """Start `python -m <module> <datastore id>` on the front-end; a bridge asks for the service of that name.

    Raises OSError.
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        front_end.call(service, datastore_id=datastore_id)
        return
    process.detach([sys.executable, "-m", module, str(datastore_id)], b"")
