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
    """The file with a `<hypervisor>-ceph_dr` for every `<hypervisor>-ceph`,
    in the line that counts: a shell takes the last.
    """
    nodes = _variables(text, where)
    if not nodes:
        return text
    node = nodes[-1]
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
    """The file without our pairs, in whatever line they are."""
    nodes = _variables(text, where)
    if not nodes:
        return text
    splices = []
    for node in nodes:
        changed = text[node.value_start : node.value_end]
        for word in node.value.split():
            if word.endswith(f"-{DRIVER}"):
                changed = changed.replace(f" {word}".encode(), b"", 1)
        splices.append(Splice(node.value_start, node.value_end, changed))
    return _verified(apply(text, splices), where)


def repeated(text: bytes, where: str) -> str:
    """A sentence for a file that sets the variable more than once, else ``""``."""
    nodes = _variables(text, where)
    if len(nodes) < 2:
        return ""
    return (
        f"{where} sets {VARIABLE} {len(nodes)} times: the last one counts, and only that was edited. "
        "Remove the others."
    )


def _variables(text: bytes, where: str) -> list[Node]:
    return [node for node in parse(text, LENS, where) if node.name == VARIABLE]


def _verified(text: bytes, where: str) -> bytes:
    parse(text, LENS, f"{where} as it would be written")
    return text
