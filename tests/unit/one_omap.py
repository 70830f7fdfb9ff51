"""An omap in memory, in place of the pool's."""
from __future__ import annotations

import pytest

from onedr.ceph import omap


def one_omap(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What `omap.read_keys` and `omap.write_keys` work on from now on, whatever the object."""
    found: dict[str, bytes] = {}
    monkeypatch.setattr(omap, "read_keys", lambda _, __, keys: {key: found[key] for key in keys if key in found})
    monkeypatch.setattr(omap, "write_keys", lambda _, __, new: found.update(new))
    return found
