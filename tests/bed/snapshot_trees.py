"""Trees of disk snapshots: what oned lists, and SHA-256 of what the images have."""
from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import workload as w

from sandbox.cloud import Cloud

MIB = 1 << 20
HEAD = "now"
Sums = dict[str, str]


@dataclass(frozen=True)
class Tree:
    """A list of snapshots as oned shows it: by id name and parent, the one reverted to last, the next id."""

    snapshots: dict[int, tuple[str, int]]
    base: int
    following: int


AT_A = Tree({0: ("first", -1), 2: ("left", 0), 3: ("right", 0)}, 0, 4)


def read(tree: Any) -> Tree:
    found = tree.SNAPSHOT if isinstance(tree.SNAPSHOT, list) else [tree.SNAPSHOT] if tree.SNAPSHOT else []
    listed = {int(each.ID): (str(each.NAME), int(each.PARENT)) for each in found}
    return Tree(listed, int(tree.CURRENT_BASE), int(tree.NEXT_SNAPSHOT))


def sums(cloud: Cloud, name: str) -> Sums:
    """SHA-256 of an image now and at each of OpenNebula's snapshots."""
    found: Sums = {}
    with w.open_pool(cloud) as pool, pool.image(name, read_only=True) as image:
        for snapshot in [None, *(s["name"] for s in image.list_snaps() if s["name"].isdecimal())]:
            image.set_snap(snapshot)
            found[snapshot or HEAD] = hashlib.sha256(image.read(0, image.size())).hexdigest()
    return found


def scribble(cloud: Cloud, *names: str) -> None:
    """What a guest would do to disks of a VM that is off."""
    with w.open_pool(cloud) as pool:
        for name in names:
            with pool.image(name) as image:
                image.write(os.urandom(MIB), 3 * MIB)
                image.write(os.urandom(MIB), 9 * MIB)


def act(cloud: Cloud, verb: str, vm: int, disk: int, what: Any) -> None:
    getattr(cloud.api.vm, f"disksnapshot{verb}")(vm, disk, what)
    cloud.wait_vm(vm, "POWEROFF")


def grow_tree(cloud: Cloud, vm: int, *disks: tuple[int, str]) -> None:
    """AT_A, with other bytes at each snapshot and now."""
    for disk, name in disks:
        for step in ("first", "second"):
            scribble(cloud, name)
            act(cloud, "create", vm, disk, step)
        act(cloud, "revert", vm, disk, 0)
        for step in ("left", "right"):
            scribble(cloud, name)
            act(cloud, "create", vm, disk, step)
        act(cloud, "delete", vm, disk, 1)
        scribble(cloud, name)
