"""The base of all stored objects: owner, permissions, lock, template, and their form in the database."""
from __future__ import annotations

import dataclasses
import json
import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from sandbox.frontend.objects.errors import internal
from sandbox.frontend.objects.templates import Template

PERMISSION_NAMES = ("OWNER_U", "OWNER_M", "OWNER_A", "GROUP_U", "GROUP_M", "GROUP_A",
                    "OTHER_U", "OTHER_M", "OTHER_A")
INVALID_NAME_CHARACTERS = "&|:\\\";/'#{}$<>"
LONGEST_NAME = 128


@dataclass
class Lock:
    """A lock taken with one.*.lock."""

    level: int
    owner: int
    since: int


@dataclass
class PoolObject:
    """Base of every stored object."""

    KIND: ClassVar[str] = ""
    ROOT: ClassVar[str] = ""
    """The XML element."""
    LABEL: ClassVar[str] = ""
    """The word in error texts."""

    oid: int
    uid: int = 0
    gid: int = 0
    uname: str = "oneadmin"
    gname: str = "oneadmin"
    name: str = ""
    permissions: list[int] = field(default_factory=lambda: [1, 1, 0, 0, 0, 0, 0, 0, 0])
    lock: Lock | None = None
    template: Template = field(default_factory=Template)

    def to_xml(self) -> str:
        """The object as one.*.info shows it."""
        raise NotImplementedError

    def pool_xml(self) -> str:
        """The object inside a pool listing."""
        return self.to_xml()

    def head_xml(self) -> str:
        """ID to PERMISSIONS, the same for most objects."""
        return (f"<ID>{self.oid}</ID><UID>{self.uid}</UID><GID>{self.gid}</GID><UNAME>{self.uname}</UNAME>"
                f"<GNAME>{self.gname}</GNAME><NAME>{self.name}</NAME>{self.lock_xml()}{self.permissions_xml()}")

    def permissions_xml(self) -> str:
        """The nine bits."""
        bits = "".join(f"<{name}>{bit}</{name}>"
                       for name, bit in zip(PERMISSION_NAMES, self.permissions, strict=True))
        return f"<PERMISSIONS>{bits}</PERMISSIONS>"

    def lock_xml(self) -> str:
        """LOCK, nothing when unlocked."""
        if self.lock is None:
            return ""
        return (f"<LOCK><LOCKED>{self.lock.level}</LOCKED><OWNER>{self.lock.owner}</OWNER>"
                f"<TIME>{self.lock.since}</TIME><REQ_ID>-1</REQ_ID></LOCK>")

    def set_error(self, message: str) -> None:
        """The ERROR attribute as image actions leave it."""
        self.template.put("ERROR", f"{time.strftime('%a %b %e %H:%M:%S %Y')} : {message}")

    def check_update(self, old: Template) -> None:
        """Validate a new template (already in place); raise to have it rolled back."""


@dataclass
class StatefulObject(PoolObject):
    """An object whose changes of state are published to hooks."""

    def changed(self) -> bool:
        """Whether the state differs from the one last published."""
        raise NotImplementedError

    def event(self) -> tuple[str, str]:
        """Hook key and message of the change."""
        raise NotImplementedError

    def settle(self) -> None:
        """Note that the change was published."""
        raise NotImplementedError


Stored = TypeVar("Stored", bound=PoolObject)


def dump(obj: PoolObject) -> str:
    """JSON of a stored object."""
    return json.dumps(dataclasses.asdict(obj))


def load(made: type[Stored], body: str) -> Stored:
    """The object of a stored JSON text."""
    values: dict[str, Any] = json.loads(body)
    return made(**{key: _revive(key, value) for key, value in values.items()})


def _revive(key: str, value: Any) -> Any:
    if key.endswith("template") and isinstance(value, dict):
        return Template(value)
    if key == "lock" and isinstance(value, dict):
        return Lock(**value)
    return value


def check_name(name: str, extra: str = "") -> None:
    """oned's rules for names."""
    if not name:
        raise internal("Invalid NAME, it cannot be empty")
    for character in name:
        if character in INVALID_NAME_CHARACTERS + extra:
            raise internal(f"Invalid NAME, char '{character}' is not allowed")
    if len(name) > LONGEST_NAME:
        raise internal("Invalid NAME, max length is 128 chars")


def ids_xml(tag: str, ids: list[int]) -> str:
    """A list of ids, e.g. VMS."""
    return f"<{tag}>{''.join(f'<ID>{one}</ID>' for one in sorted(ids))}</{tag}>"
