"""Ceph keyring files on this machine: which file holds a user's key, and its content."""
from __future__ import annotations

import re
from pathlib import Path

import rados

from onedr.host import secret_file
from onedr.model.errors import InputError

_SECTION = re.compile(r"^\[([^\]]+)\][^\S\n]*$", re.M)
_KEY = re.compile(r"^\s*key\s*=\s*(\S+)\s*$", re.M)


def path_for(conf: str, entity: str) -> Path:
    """The file from which librados reads a user's key:
    the first one on its search path that has it, else one of the user's own.
    """
    found = rados.Rados(name=entity, conffile=conf or rados.Rados.DEFAULT_CONF_FILES)
    places = [Path(place.strip()) for place in found.conf_get("keyring").split(",") if place.strip()]
    own = [place for place in places if entity in place.name]
    there = [place for place in places if place.exists() and key_in(place, entity)]
    return next(iter([*there, *own, *places]))


def option_in_file(conf: str, entity: str, name: str) -> str | None:
    """The value that the configuration file sets for a user; None when it sets none, so that the monitors'
    value or Ceph's default applies.
    """
    found = rados.Rados(name=entity, conffile=conf or rados.Rados.DEFAULT_CONF_FILES)
    default = rados.Rados(name=entity, conffile="/dev/null").conf_get(name)
    value = found.conf_get(name)
    return None if value == default else str(value)


def key_in(path: Path, entity: str) -> str | None:
    """The key of a user in a file; None when there is none, or this process cannot read it."""
    try:
        text = path.read_text()
    except (OSError, UnicodeError):
        return None
    match = _KEY.search(_sections(text).get(entity, ""))
    return match[1] if match else None


def put_key(path: Path, entity: str, key: str, owner: int | None) -> None:
    """Add or change a user's key in a file. A new file belongs to `owner`. Raises InputError."""
    _write(path, entity, f"[{entity}]\n\tkey = {key}\n", owner)


def drop_key(path: Path, entity: str) -> None:
    """Remove a user from a file, and the file when it becomes empty. Raises InputError."""
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
    """The sections of a file by user, headings included; "" is the text before the first."""
    starts = [*_SECTION.finditer(text)]
    ends = [*(match.start() for match in starts[1:]), len(text)]
    found = {"": text[: starts[0].start()] if starts else text}
    return {**found, **{match[1]: text[match.start():end] for match, end in zip(starts, ends)}}
