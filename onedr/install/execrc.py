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
    """The file with a `<hypervisor>-ceph_dr` for every `<hypervisor>-ceph`, in each line that sets the
    variable: which of them counts, a condition in the file may decide when it is read.
    """
    splices = [_added(node, text, where) for node in _variables(text, where)]
    return _verified(apply(text, [one for one in splices if one is not None]), where)


def _added(node: Node, text: bytes, where: str) -> Splice | None:
    words = node.value.split()
    pairs = [w[: -len(_STOCK_SUFFIX)] + f"-{DRIVER}" for w in words if w.endswith(_STOCK_SUFFIX)]
    missing = [p for p in pairs if p not in words]
    if not missing:
        return None
    inside = node.value_end - 1
    if text[inside : inside + 1] not in (b'"', b"'"):
        raise InputError(
            f"{where}: the value of {VARIABLE} has no quotes. "
            f'Write it as {VARIABLE}="...", then run this again.'
        )
    return Splice(inside, inside, "".join(f" {pair}" for pair in missing).encode())


def unregister_execrc(text: bytes, where: str) -> bytes:
    """The file without our pairs, in whatever line they are."""
    splices = []
    for node in _variables(text, where):
        changed = text[node.value_start : node.value_end]
        for word in node.value.split():
            if word.endswith(f"-{DRIVER}"):
                changed = changed.replace(f" {word}".encode(), b"", 1)
        splices.append(Splice(node.value_start, node.value_end, changed))
    return _verified(apply(text, splices), where)


def _variables(text: bytes, where: str) -> list[Node]:
    """Each assignment of it, those in conditions too."""
    found = []
    left = list(parse(text, LENS, where))
    while left:
        node = left.pop()
        found += [node] if node.name == VARIABLE else []
        left += node.children
    return found


def _verified(text: bytes, where: str) -> bytes:
    parse(text, LENS, f"{where} as it would be written")
    return text
