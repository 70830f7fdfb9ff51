"""Ceph keyring files on this machine: which one a user's key is looked for in, and its lines."""
from __future__ import annotations

import re
from pathlib import Path

import rados

from onedr.host import secret_file
from onedr.model.errors import InputError

_SECTION = re.compile(r"^\[([^\]]+)\][^\S\n]*$", re.M)
_KEY = re.compile(r"^\s*key\s*=\s*(\S+)\s*$", re.M)


def path_for(conf: str, entity: str) -> Path:
    """The file from which librados takes a user's key: of those it looks for, the first that has it, else
    one of its own.
    """
    found = rados.Rados(name=entity, conffile=conf or rados.Rados.DEFAULT_CONF_FILES)
    places = [Path(place.strip()) for place in found.conf_get("keyring").split(",") if place.strip()]
    own = [place for place in places if entity in place.name]
    there = [place for place in places if place.exists() and key_in(place, entity)]
    return next(iter([*there, *own, *places]))


def option_in_file(conf: str, entity: str, name: str) -> str | None:
    """What the configuration file sets for a user; None: nothing, so Ceph's default or the monitors' value
    counts.
    """
    found = rados.Rados(name=entity, conffile=conf or rados.Rados.DEFAULT_CONF_FILES)
    default = rados.Rados(name=entity, conffile="/dev/null").conf_get(name)
    value = found.conf_get(name)
    return None if value == default else str(value)


def key_in(path: Path, entity: str) -> str | None:
    """The key that a file has for a user; None: none, or this process may not read it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeError):
        return None
    match = _KEY.search(_sections(text).get(entity, ""))
    return match[1] if match else None


def put_key(path: Path, entity: str, key: str, owner: int | None) -> None:
    """Add a user's key to a file, or change it there; a new file is `owner`'s. Raises InputError."""
    _write(path, entity, f"[{entity}]\n\tkey = {key}\n", owner)


def drop_key(path: Path, entity: str) -> None:
    """Take a user out of a file; a file with nobody left goes. Raises InputError."""
    _write(path, entity, "", None)


def _write(path: Path, entity: str, section: str, owner: int | None) -> None:
    try:
        sections = _sections(path.read_text())
    except FileNotFoundError:
        sections = {}
    except (OSError, UnicodeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    sections[entity] = section
    text = "".join(sections.values())
    if text.strip():
        secret_file.write_secret(path, text, owner)
    else:
        secret_file.remove_secret(path)


def _sections(text: str) -> dict[str, str]:
    """By user, what a file says, its heading included; "" is what stands before the first."""
    starts = [*_SECTION.finditer(text)]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    found = {"": text[: starts[0].start()] if starts else text}
    return {**found, **{match[1]: text[match.start():end] for match, end in zip(starts, ends)}}
