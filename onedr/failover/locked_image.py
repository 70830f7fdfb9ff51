"""Images that their users locked: a failback brings them up to date all the same, and locks them again."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from onedr.opennebula.api import FrontEnd, number


@contextmanager
def unlocked_image(frontend: FrontEnd, image_id: int) -> Iterator[None]:
    """Take a lock off for a change and put it back at its level, as oneadmin's. Raises FrontEndError."""
    lock = frontend.image(image_id).find("LOCK")
    level = 0 if lock is None else number(lock, "LOCKED")
    if level:
        frontend.call("image.unlock", image_id)
    try:
        yield
    finally:
        if level:
            frontend.call("image.lock", image_id, level, False)
