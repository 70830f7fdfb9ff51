"""Variables in attributes of a VM: `$NAME`, `$USER[NAME]`, `$NETWORK[DNS, NIC_ID=0]`, `$FILE[IMAGE_ID=3]`.

They are read as the VM's owner, with oned's grammar (src/parsers/vm_var_parser.l, vm_var_syntax.y of 7.4.0).
"""
from __future__ import annotations

import base64
import re

from sandbox.frontend.frontend import Frontend
from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.images import Image
from sandbox.frontend.objects.pool_object import PoolObject
from sandbox.frontend.objects.templates import Vector, leading_int
from sandbox.frontend.objects.users import USE, User, caller
from sandbox.frontend.objects.vms import VM
from sandbox.frontend.objects.vnets import VNet

_VALUE = r'[ \t]*=[ \t]*("[^"]*"|[A-Za-z0-9]+)'
_PLAIN = re.compile(r"(?:[^$\\]|\\\$|\\[^$])+")
_VARIABLE = re.compile(
    rf"\$(\w+)(?:\[[ \t]*(\w+)(?:[ \t]*,[ \t]*(\w+){_VALUE})?[ \t]*\]|(?!\[))", re.ASCII)
_FILE = re.compile(rf"\$(\w+)\[[ \t]*(\w+){_VALUE}(?:[ \t]*,[ \t]*(\w+){_VALUE})?[ \t]*\][^$]?", re.ASCII)


def replace(frontend: Frontend, vm: VM, text: str) -> str:
    """The text with its variables replaced; an unknown one becomes empty, `\\$` stays as it is."""
    parts, place = [], 0
    while place < len(text):
        if plain := _PLAIN.match(text, place):
            parts.append(plain.group())
            place = plain.end()
        elif variable := _VARIABLE.match(text, place):
            parts.append(_value(frontend, vm, *variable.groups()))
            place = variable.end()
        elif text[place] == "\\":  # at the very end: oned's lexer skips it
            place += 1
        else:
            raise _unreadable(text, place)
    return "".join(parts)


def _unreadable(text: str, place: int) -> Exception:
    line = text.count("\n", 0, place) + 1
    return internal(f"Error parsing: {text}. syntax error, unexpected EOA, expecting $end or VARIABLE or"
                    f" RSTRING at line {line}, columns {place + 2}:{place + 3}")


def _value(
    frontend: Frontend, vm: VM, name: str, part: str | None, key: str | None, wanted: str | None
) -> str:
    name, part, key = name.upper(), (part or "").upper(), (key or "").upper()
    wanted = (wanted or "").strip('"')
    if not part:
        return _of_vm(vm, name)
    if name == "USER":
        return _of_object(frontend.store.find(User, vm.uid), part)
    if name == "NETWORK":
        return _of_network(frontend, vm, part, key, wanted)
    if name == "IMAGE":
        disk = _which(vm.disks, key, wanted) if key in ("IMAGE", "IMAGE_ID") else None
        return _of_object(frontend.store.find(Image, _number(disk, "IMAGE_ID")), part)
    vectors = vm.template.vectors(name)
    found = _which(vectors, key, wanted) if key else next(iter(vectors), None)
    return (found or {}).get(part, "")


def _of_vm(vm: VM, name: str) -> str:
    own = {"NAME": vm.name, "UID": str(vm.uid), "UNAME": vm.uname, "GID": str(vm.gid), "GNAME": vm.gname}
    if name == "TEMPLATE":
        return _encoded(vm)
    return own[name] if name in own else vm.template.text(name) or vm.user_template.text(name)


def _of_object(found: PoolObject | None, part: str) -> str:
    if found is None:
        return ""
    return _encoded(found) if part == "TEMPLATE" else found.template.text(part)


def _of_network(frontend: Frontend, vm: VM, part: str, key: str, wanted: str) -> str:
    nic = _which(vm.interfaces, key, wanted) if key in ("NETWORK", "NETWORK_ID", "NIC_ID") else None
    network = frontend.store.find(VNet, _number(nic, "NETWORK_ID"))
    if nic is None or network is None:
        return ""
    return _encoded(network) if part == "TEMPLATE" else network.attribute(nic, part)


def _encoded(found: PoolObject) -> str:
    return base64.b64encode(found.to_xml().encode()).decode()


def _which(vectors: list[Vector], key: str, wanted: str) -> Vector | None:
    return next((vector for vector in vectors if vector.get(key) == wanted), None)


def _number(vector: Vector | None, key: str) -> int:
    number = leading_int((vector or {}).get(key, ""))
    return -1 if number is None else number


def files(frontend: Frontend, vm: VM, text: str) -> list[Image]:
    """The images that `$FILE[...]` variables name; anything else in the text is refused."""
    text = text.lstrip(" \t\n\v\f\r")
    found: list[Image] = []
    place = 0
    while place < len(text):
        match = _FILE.match(text, place)
        if match is None:
            token = _PLAIN.match(text, place)
            end = place + (len(token.group()) if token else 1)
            expected = "$end or VARIABLE" if found else "VARIABLE"
            raise internal(f"Error parsing: {text}. syntax error, unexpected RSTRING, expecting {expected}"
                           f" at line 1, columns {place + 1}:{end + 1}")
        found.append(_file(frontend, vm, text, match))
        place = match.end()
    return found


def _file(frontend: Frontend, vm: VM, text: str, match: re.Match[str]) -> Image:
    name, key, value, other, owner = (group or "" for group in match.groups())
    value, owner = value.strip('"'), owner.strip('"')
    if name.upper() != "FILE":
        raise internal(f"Error parsing: {text}. Must use FILE variable for attribute.")
    if key.upper() == "IMAGE_ID":
        image = frontend.store.find(Image, _number({"ID": value}, "ID"))
        if image is None:
            raise internal(f"Error parsing: {text}. Image with ID: {value} does not exist")
    elif key.upper() == "IMAGE":
        uid = _file_owner(frontend, vm, other.upper(), owner)
        image = frontend.store.by_name(Image, value, uid)
        if image is None:
            raise internal(f"Error parsing: {text}. User {uid} does not own an image with name: {value} . Set"
                           " IMAGE_UNAME or IMAGE_UID of owner.")
    else:
        raise internal(f"Error parsing: {text}. Cannot get image, set IMAGE_ID or IMAGE.")
    user = frontend.store.find(User, vm.uid)
    if user is None or not caller(user).may(USE, image):
        raise internal(f"Error parsing: {text}. User not authorize to use image.")
    return image


def _file_owner(frontend: Frontend, vm: VM, key: str, value: str) -> int:
    if key == "IMAGE_UID":
        return _number({"ID": value}, "ID")
    if key == "IMAGE_UNAME":
        user = frontend.store.by_name(User, value)
        return -1 if user is None else user.oid
    return vm.uid
