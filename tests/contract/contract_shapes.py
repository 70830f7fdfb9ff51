"""Comparing recorded and actual: argument lists and XML, with what legitimately differs taken out."""
from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from lxml import etree

WIRE = Path(__file__).resolve().parent / "wire"
ADDED_BY_COLLECTIONS = {"IMAGES", "VMS", "CLONES", "HOSTS", "DATASTORES", "VNETS", "UPDATED_VMS", "GROUPS", "USERS"}
_CALL = re.compile(r"^\d\d-(.*)$")
_BASE64 = re.compile(r"^(<base64 of .*>|[A-Za-z0-9+/=]{200,})$")


def case_folder(case: str) -> Path:
    """Where a recorded case lies."""
    return WIRE / case


def recorded_calls(case: str) -> list[Path]:
    """Folders of the driver calls of a case, in order."""
    return sorted(path for path in case_folder(case).iterdir() if path.is_dir() and _CALL.match(path.name))


def call_name(folder: Path) -> str:
    """Family, driver and action."""
    match = _CALL.match(folder.name)
    assert match is not None
    return match.group(1)


def recorded_hooks(case: str) -> list[str]:
    """Labels of the hooks noted for a case."""
    for line in (case_folder(case) / "notes.txt").read_text().splitlines():
        if line.startswith("hooks: "):
            return re.findall(r"'([^']*)'", line)
    return []


def plain_argv(name: str, argv: list[str], location: str) -> list[str]:
    """Arguments with ids of VMs, images and sources replaced by letters."""
    words = [word.replace(location, "$ONE_LOCATION") for word in argv]
    if name.startswith("datastore-"):
        return ["N" for _ in words]
    vm = words[-2]
    words[-2] = "VM"
    return [_plain_word(word, vm) for word in words]


def _plain_word(word: str, vm: str) -> str:
    if _BASE64.match(word):
        return "BASE64"
    word = re.sub(r"/(datastores/10[34]|vms)/" + re.escape(vm) + r"(?=/|$)", r"/\1/VM", word)
    word = re.sub(r"/deployment\.\d+$", "/deployment.SEQ", word)
    word = re.sub(r"^one-deploy-\d+$", "DEPLOY_ID", word)
    word = re.sub(r"^one-\d+-(\d+)$", r"one-VM-\1", word)
    word = re.sub(r"^((?:127\.0\.0\.1:)?)(?:rbd-pool|one)/one-\d+$", r"\1SOURCE", word)
    return re.sub(r"^02:00:0a:[0-9a-f:]+$", "MAC", word)


Shape = tuple[str, tuple["Shape", ...]]


def shape(xml: str) -> Shape:
    """Names of the elements in their order; lists of ids without their length."""
    return _shape(etree.fromstring(xml))


def _shape(node: etree._Element) -> Shape:
    if node.tag in ADDED_BY_COLLECTIONS and all(child.tag == "ID" for child in node):
        return (str(node.tag), ())
    return (str(node.tag), tuple(_shape(child) for child in node))


def paths(found: Shape, above: str = "") -> Counter[str]:
    """Every element as a path, counted: for readable differences."""
    here = f"{above}/{found[0]}"
    counted = Counter({here: 1})
    for child in found[1]:
        counted += paths(child, here)
    return counted


def differences(expected: str, actual: str, ignore: tuple[str, ...] = ()) -> list[str]:
    """Paths that only one side has, beside those that begin with an ignored prefix."""
    left, right = paths(shape(expected)), paths(shape(actual))
    lines = [f"missing {path}" for path in (left - right)] + [f"added {path}" for path in (right - left)]
    return sorted(line for line in lines if not any(line.split(" ")[1].startswith(prefix) for prefix in ignore))


def order_differs(expected: str, actual: str) -> bool:
    """Whether elements common to both come in another order at the top two levels."""
    return _order(shape(expected)) != _order(shape(actual))


def _order(found: Shape) -> list[str]:
    names: list[str] = []
    for child in found[1]:
        if child[0] not in names:
            names.append(child[0])
    return names
