"""The front-end's two configuration files, with `ceph_dr` registered in them or not."""

from __future__ import annotations

from pathlib import Path

from onedr.host.edited_file import Change, Edit, read_edit
from onedr.install import execrc, oned_conf
from onedr.install.paths import Paths


def to_register(paths: Paths, lenses: Path) -> list[Edit]:
    """The edits that register `ceph_dr` in both files.

    Raises before anything is written when one cannot be read.
    """
    return _edits(
        paths,
        lambda text, where: oned_conf.register_driver(text, where, str(lenses)),
        execrc.register_execrc,
    )


def to_unregister(paths: Paths, lenses: Path) -> list[Edit]:
    """The edits that take it out again."""
    return _edits(
        paths,
        lambda text, where: oned_conf.unregister_driver(text, where, str(lenses)),
        execrc.unregister_execrc,
    )


def _edits(paths: Paths, conf: Change, rc: Change) -> list[Edit]:
    edits = [read_edit(paths.oned_conf, conf)]
    if paths.vmm_execrc.exists():
        edits.append(read_edit(paths.vmm_execrc, rc))
    return edits
