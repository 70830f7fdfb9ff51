"""An image's data as blocks, from a file on this machine, or on the front-end when this is a bridge host."""
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from onedr.ceph import images
from onedr.driver.decode import ActionData
from onedr.host import bridge
from onedr.host.bridge import Answer, Service
from onedr.model.json_form import Json


class Data(NamedTuple):
    """`size` bytes; `blocks` are the ones that are not zero, with their offsets, in order."""

    size: int
    blocks: Iterator[tuple[int, bytes]]


@contextmanager
def raw_data(data: ActionData) -> Iterator[Data]:
    """The data of PATH, checked and converted on the front-end,
    which has the local paths and permissions (staging.raw_file).
    """
    front_end = bridge.bridge_session()
    if front_end is not None:
        size, _ = front_end.call("stage")
        yield Data(int(size), _from_front_end(front_end))
        return
    from onedr.driver import staging  # HTTP and checksums take 20 ms to load

    with staging.raw_file(data.wanted_image(), data.attributes) as path:
        yield of_file(path)


def of_file(path: Path) -> Data:
    """The data of a raw file."""
    return Data(path.stat().st_size, images.blocks_of(path))


def _from_front_end(front_end: bridge.BridgeSession) -> Iterator[tuple[int, bytes]]:
    while True:
        offset, block = front_end.call("block")
        if offset is None:
            return
        yield int(offset), block


def services(data: ActionData, stack: ExitStack) -> dict[str, Service]:
    """What a bridge host needs from the front-end to create an image. Files exist until `stack` ends."""
    staged: list[Iterator[tuple[int, bytes]]] = []

    def stage(_: Json) -> Answer:
        from onedr.driver import staging

        path = stack.enter_context(staging.raw_file(data.wanted_image(), data.attributes))
        staged.append(images.blocks_of(path))
        return os.stat(path).st_size, b""

    def block(_: Json) -> Answer:
        return next(staged[-1], (None, b""))

    def vm_sizes(call: Json) -> Answer:
        from onedr.driver import vm_sizes

        vm_sizes.send(
            {
                int(vm): {int(disk): int(size) for disk, size in own.items()}
                for vm, own in call["sizes"].items()
            }
        )
        return None, b""

    return {"stage": stage, "block": block, "vm_sizes": vm_sizes}
