"""The tree of disk snapshots that images and VM disks carry."""
from __future__ import annotations

import time
from dataclasses import dataclass, field

from sandbox.frontend.objects.errors import action
from sandbox.frontend.objects.templates import Template, Vector

TREE_MODES = ("NO", "MIXED")


@dataclass
class Snapshots:
    """Snapshots of one disk; `orphans` says how parents and children bind."""

    orphans: str = "NO"
    disk_id: int = -1
    base: int = -1
    next: int = 0
    items: list[Vector] = field(default_factory=list)

    def to_xml(self) -> str:
        """The SNAPSHOTS element."""
        template = Template.of(ALLOW_ORPHANS=self.orphans, CURRENT_BASE=str(self.base),
                               NEXT_SNAPSHOT=str(self.next), SNAPSHOT=self.items)
        if self.disk_id >= 0:
            template.put("DISK_ID", str(self.disk_id))
        return template.to_xml("SNAPSHOTS")

    def copy(self, disk_id: int) -> Snapshots:
        """The same tree for another holder (-1: an image)."""
        return Snapshots(self.orphans, disk_id, self.base, self.next, [dict(item) for item in self.items])

    @property
    def active(self) -> int:
        """Id of the active snapshot, -1 for none."""
        return next((int(item["ID"]) for item in self.items if item.get("ACTIVE") == "YES"), -1)

    def find(self, number: int) -> Vector | None:
        """A snapshot by id."""
        return next((item for item in self.items if item["ID"] == str(number)), None)

    def size_of(self, number: int) -> str:
        """MB of a snapshot, 0 for one that does not exist."""
        return (self.find(number) or {}).get("SIZE", "0")

    def total_size(self) -> int:
        """MB of all snapshots."""
        return sum(int(item["SIZE"]) for item in self.items)

    def create(self, name: str, size: int) -> int:
        """Add a snapshot, giving its id."""
        number = self.next
        made: Vector = {"NAME": name} if name else {}
        made |= {"SIZE": str(size), "ID": str(number), "DATE": str(int(time.time())), "PARENT": "-1"}
        parent = {"NO": self.active, "MIXED": self.base}.get(self.orphans, -1)
        if parent != -1 and (holder := self.find(parent)) is not None:
            made["PARENT"] = str(parent)
            holder["CHILDREN"] = ",".join([*_children(holder), str(number)])
        self.items.append(made)
        self.next += 1
        return number

    def drop(self, number: int) -> None:
        """Remove a snapshot; its only child moves up."""
        gone = self.find(number)
        if gone is None:
            return
        holder = self.find(int(gone["PARENT"]))
        if self.orphans in TREE_MODES and holder is not None:
            self._unhook(gone, holder)
        self.items.remove(gone)

    def _unhook(self, gone: Vector, holder: Vector) -> None:
        children = [child for child in _children(holder) if child != gone["ID"]]
        own = _children(gone)
        if len(own) == 1 and (child := self.find(int(own[0]))) is not None:
            children.append(own[0])
            child["PARENT"] = holder["ID"]
        if children:
            holder["CHILDREN"] = ",".join(children)
        else:
            holder.pop("CHILDREN", None)
        if gone.get("ACTIVE") == "YES":
            holder["ACTIVE"] = "YES"

    def activate(self, number: int, revert: bool) -> None:
        """Make a snapshot the active one."""
        chosen = self.find(number)
        if chosen is None or number == self.active:
            return
        if self.orphans == "MIXED":
            if not revert:
                return
            self.base = number
        for item in self.items:
            item.pop("ACTIVE", None)
        chosen["ACTIVE"] = "YES"

    def check_delete(self, number: int, disk: bool, persistent: bool = False) -> None:
        """Raise when a snapshot must not be deleted."""
        found = self.find(number)
        if found is None:
            raise action("Snapshot does not exist")
        if self.orphans not in TREE_MODES:
            return
        active, children = found.get("ACTIVE") == "YES", _children(found)
        if disk and self.orphans == "NO":
            self._check_delete_linked(number, active, len(children), persistent)
            return
        if active:
            raise action("Cannot delete the active snapshot")
        if children:
            raise action("Cannot delete snapshot with children")

    def _check_delete_linked(self, number: int, active: bool, children: int, persistent: bool) -> None:
        if persistent and number == 0:
            raise action("Cannot delete snapshot 0 for persistent disk images")
        if children > 1:
            raise action("Cannot delete snapshot with more than one children")
        if children == 1 and active:
            raise action("Cannot delete the active snapshot with children")


def _children(item: Vector) -> list[str]:
    return [child for child in item.get("CHILDREN", "").split(",") if child]
