"""Registering `ceph_dr` in vmm_exec/vmm_execrc, which lists the drivers that can snapshot a running VM's
disk.

Without it oned answers "Cannot perform a live DISKSNAPSHOTCREATE operation" (docs/opennebula-facts.md O17). A
hypervisor gets an entry for `ceph_dr` if it has one for `ceph`: 6.10 and 7.0 have no lxc-ceph, so lxc-ceph_dr
would be wrong. The file is a shell variable file, for which augeas has a lens.
"""

from __future__ import annotations

from onedr.install.lens import Node, Splice, apply, parse
from onedr.model.errors import InputError
from onedr.model.types import DRIVER, STOCK_DRIVER

LENS = "Shellvars.lns"
VARIABLE = "LIVE_DISK_SNAPSHOTS"
_STOCK_SUFFIX = f"-{STOCK_DRIVER}"


def register_execrc(text: bytes, where: str) -> bytes:
    """The file with an entry `<hypervisor>-ceph_dr` for every `<hypervisor>-ceph`."""
    node = _variable(text, where)
    if node is None:
        return text
    words = node.value.split()
    pairs = [w[: -len(_STOCK_SUFFIX)] + f"-{DRIVER}" for w in words if w.endswith(_STOCK_SUFFIX)]
    missing = [p for p in pairs if p not in words]
    if not missing:
        return text
    inside = node.value_end - 1
    if text[inside : inside + 1] not in (b'"', b"'"):
        raise InputError(
            f"{where}: the value of {VARIABLE} has no quotes. "
            f'Write it as {VARIABLE}="...", then run this again.'
        )
    added = "".join(f" {pair}" for pair in missing).encode()
    return _verified(apply(text, [Splice(inside, inside, added)]), where)


def unregister_execrc(text: bytes, where: str) -> bytes:
    """The file without our entries."""
    node = _variable(text, where)
    if node is None:
        return text
    changed = text[node.value_start : node.value_end]
    for word in node.value.split():
        if word.endswith(f"-{DRIVER}"):
            changed = changed.replace(f" {word}".encode(), b"", 1)
    return _verified(apply(text, [Splice(node.value_start, node.value_end, changed)]), where)


def _variable(text: bytes, where: str) -> Node | None:
    return next((n for n in parse(text, LENS, where) if n.name == VARIABLE), None)


def _verified(text: bytes, where: str) -> bytes:
    parse(text, LENS, f"{where} as it would be written")
    return text
