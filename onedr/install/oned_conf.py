"""Registering `ceph_dr` in oned.conf, and removing it, without changing any other byte.

For what is needed and why see docs/opennebula-facts.md O17. The values of TM_MAD_CONF are those of the stock
`ceph` (OpenNebula 7.4.0 share/etc/oned.conf:1186; 6.10 and 7.0 know no DS_LIVE_MIGRATE and DS_MIGRATE_SNAP
and ignore them), plus the attributes with which a stock `ceph` system datastore serves our images
(src/vm/VirtualMachineDisk.cc:1968 check_tm_mad). BRIDGE_LIST is not required: the drivers access Ceph
directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from onedr.install.lens import Node, Splice, apply, parse
from onedr.model.errors import InputError
from onedr.model.types import DRIVER
from onedr.opennebula.own_marks import RESTRICTED

LENS = "Onedr_Oned.lns"

TM_MAD_CONF: Mapping[str, str] = {
    "NAME": DRIVER,
    "LN_TARGET": "NONE",
    "CLONE_TARGET": "SELF",
    "SHARED": "YES",
    "DRIVER": "raw",
    "ALLOW_ORPHANS": "mixed",
    "TM_MAD_SYSTEM": "ssh,ceph",
    "LN_TARGET_SSH": "SYSTEM",
    "CLONE_TARGET_SSH": "SYSTEM",
    "DISK_TYPE_SSH": "FILE",
    "LN_TARGET_CEPH": "NONE",
    "CLONE_TARGET_CEPH": "SELF",
    "DISK_TYPE_CEPH": "RBD",
    "DS_MIGRATE": "NO",
    "DS_LIVE_MIGRATE": "NO",
    "DS_MIGRATE_SNAP": "NO",
}
DS_MAD_CONF: Mapping[str, str] = {
    "NAME": DRIVER,
    "REQUIRED_ATTRS": "DISK_TYPE",
    "PERSISTENT_ONLY": "NO",
    "MARKETPLACE_ACTIONS": "export",
}
SECTIONS = {"TM_MAD_CONF": TM_MAD_CONF, "DS_MAD_CONF": DS_MAD_CONF}
# A disk inherits this from its image, not from the datastore: inherited attributes are fixed when the VM is
# created, and a datastore may be protected later.
INHERITED = ("DR_PROTECT",)
INHERIT = "INHERIT_IMAGE_ATTR"
# Entries that are repeated, one for each value.
REPEATED: Mapping[str, tuple[str, ...]] = {INHERIT: INHERITED, **RESTRICTED}
# Options of one_tm.rb and one_datastore.rb that list driver names, and whether the option may be missing.
LISTS: Mapping[str, Mapping[str, bool]] = {
    "TM_MAD": {"-d|--tm-types": True},
    "DATASTORE_MAD": {"-d|--ds-types": True, "-s|--system-ds-types": False},
}
Change = Callable[[list[str]], list[str]]


def register_driver(text: bytes, where: str, lenses: str) -> bytes:
    """oned.conf with `ceph_dr` registered; unchanged if it is registered."""
    nodes = parse(text, LENS, where, lenses)
    splices = [
        *_lists(text, nodes, where, _with_driver),
        *(splice for name in SECTIONS for splice in _section(text, nodes, name)),
        *(splice for name, values in REPEATED.items() for splice in _repeated(text, nodes, name, values)),
    ]
    return _verified(text, splices, nodes, where, lenses)


def unregister_driver(text: bytes, where: str, lenses: str) -> bytes:
    """oned.conf without `ceph_dr`."""
    nodes = parse(text, LENS, where, lenses)
    gone = [n for n in nodes if _is_ours(n)]
    splices = [*_lists(text, nodes, where, _without_driver), *(_removal(text, node) for node in gone)]
    return _verified(text, splices, nodes, where, lenses)


def _is_ours(node: Node) -> bool:
    if node.name.upper() in SECTIONS:
        return node.text_of("NAME") == DRIVER
    return node.value in REPEATED.get(node.name.upper(), ())


def _verified(text: bytes, splices: list[Splice], before: tuple[Node, ...], where: str, lenses: str) -> bytes:
    """The spliced text, after checking that it parses and that only our entries differ."""
    changed = apply(text, splices)
    after = parse(changed, LENS, f"{where} as it would be written", lenses)
    if _others(before) != _others(after):
        raise InputError(
            f"{where}: adding or removing {DRIVER} would change other entries, which is a bug of this "
            "installer. Nothing was changed. Please report it together with the file."
        )
    return changed


def _others(nodes: tuple[Node, ...]) -> list[object]:
    def plain(node: Node) -> object:
        value = node.value
        if node.name.upper() == "ARGUMENTS":
            value = re.sub(rf",{DRIVER}\b|\b{DRIVER},", "", value)
        return (node.name, value, [plain(c) for c in node.children])

    return [plain(node) for node in nodes if not _is_ours(node)]


# -- the -d and -s lists ------------------------------------------------------------------------------


def _with_driver(names: list[str]) -> list[str]:
    return names if DRIVER in names else [*names, DRIVER]


def _without_driver(names: list[str]) -> list[str]:
    return [n for n in names if n != DRIVER]


def _lists(text: bytes, nodes: tuple[Node, ...], where: str, change: Change) -> list[Splice]:
    splices = []
    for section, options in LISTS.items():
        found = [n for n in nodes if n.name.upper() == section]
        if not found:
            raise InputError(
                f"{where} has no {section}: oned would not start with it. Restore the file first."
            )
        for node in found:
            arguments = node.child("ARGUMENTS")
            if arguments is None:
                raise InputError(f"{where}: {section} has no ARGUMENTS. Restore the file first.")
            for option, optional in options.items():
                splices += _list(
                    text, arguments, f"{where}: ARGUMENTS of {section}", option, optional, change
                )
    return splices


def driver_list(arguments: str, option: str) -> re.Match[str] | None:
    """The comma-separated names after an option in ARGUMENTS (group 1)."""
    return re.search(rf'(?<![^\s"])(?:{option})(?:\s+|=)?([^\s"=-][^\s"]*)', arguments)


def _list(
    text: bytes, arguments: Node, where: str, option: str, optional: bool, change: Change
) -> list[Splice]:
    """The splice that changes the names after one option, if they change."""
    raw = text[arguments.value_start : arguments.value_end].decode("latin-1")
    match = driver_list(raw, option)
    if match is None and optional:
        return []
    if match is None:
        raise InputError(
            f"{where} has no option {option.split('|')[0]}, so the driver takes its built-in list "
            "(shared,ssh,ceph). Write that list explicitly, then run this again."
        )
    names = match[1].split(",")
    new = change(names)
    if new == names:
        return []
    start = arguments.value_start
    return [Splice(start + match.start(1), start + match.end(1), ",".join(new).encode("latin-1"))]


# -- sections and repeated entries --------------------------------------------------------------------


def _section(text: bytes, nodes: tuple[Node, ...], name: str) -> list[Splice]:
    """Add our section after the last of its kind, or update the existing one."""
    wanted = SECTIONS[name]
    same_kind = [n for n in nodes if n.name.upper() == name]
    ours = next((n for n in same_kind if n.text_of("NAME") == DRIVER), None)
    if ours is None:
        place = _line_end(text, same_kind[-1].end if same_kind else len(text))
        return [Splice(place, place, b"\n\n" + _rendered(name, wanted))]
    current = {c.name.upper(): c.value for c in ours.children}
    if all(current.get(k) == v for k, v in wanted.items()):
        return []
    extra = {k: v for k, v in current.items() if k not in wanted}
    return [Splice(ours.start, ours.end, _rendered(name, {**wanted, **extra}))]


def _rendered(name: str, attributes: Mapping[str, str]) -> bytes:
    width = max(len(k) for k in attributes)
    lines = ['    {} = "{}"'.format(k.ljust(width), v.replace('"', '\\"')) for k, v in attributes.items()]
    return (f"{name} = [\n" + ",\n".join(lines) + "\n]").encode()


def _repeated(text: bytes, nodes: tuple[Node, ...], name: str, values: tuple[str, ...]) -> list[Splice]:
    """Add the missing ones after the last entry of that name."""
    existing = [n for n in nodes if n.name.upper() == name]
    place = _line_end(text, existing[-1].end if existing else len(text))
    missing = [value for value in values if value not in {n.value for n in existing}]
    return [Splice(place, place, f'\n{name}  = "{value}"'.encode()) for value in missing]


def _line_end(text: bytes, position: int) -> int:
    """The end of the line at `position`, so that a trailing comment stays with its entry."""
    if position == len(text):
        return position - 1 if text.endswith(b"\n") else position
    newline = text.find(b"\n", position)
    return len(text) if newline < 0 else newline


def _removal(text: bytes, node: Node) -> Splice:
    """Remove an entry together with the line breaks before it."""
    breaks = 2 if node.name.upper() in SECTIONS else 1
    start = node.start
    while breaks and text[start - 1 : start] == b"\n":
        start, breaks = start - 1, breaks - 1
    return Splice(start, node.end, b"")
